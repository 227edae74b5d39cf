package workers

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/filestream"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
)

// Stocker keeps the inventory full: it generates files, encodes them, and stores
// them as chunks for farmers. Any number of stockers share the work, because each
// stocker makes a reservation in the inventory before it encodes a file.
type Stocker struct {
	Interval time.Duration // time between two checks of a full inventory
	Lease    time.Duration // time after which a reservation ends if its lease is not extended
	Replace  time.Duration // time between two steps of the replacement of a key

	inventory  node.Inventory // inventory of each heartbeat key
	encoders   int
	challenges int
	store      *store.Store
	keys       *keyring.Ring
	log        *slog.Logger
	now        func() time.Time
	stocked    prometheus.Counter
	bytes      prometheus.Counter
	keyNeed    *prometheus.GaugeVec
	full       sync.Map // the ids of the keys whose inventory was full when it was last checked
}

// NewStocker creates a stocker that encodes at most encoders chunks at the same
// time. challenges is the number of challenges in a Merkle tag.
func NewStocker(deps Deps, inventory node.Inventory, encoders, challenges int) *Stocker {
	metrics := promauto.With(deps.Registry)
	return &Stocker{
		Interval: time.Second, Lease: time.Minute, Replace: replaceEach,
		inventory: inventory, encoders: encoders, challenges: challenges,
		store: deps.Store, keys: deps.Keys, log: deps.Log, now: deps.clock(),
		stocked: metrics.NewCounter(prometheus.CounterOpts{
			Name: "downstream_worker_chunks_stocked_total",
			Help: "Chunks encoded and added to the inventory.",
		}),
		bytes: metrics.NewCounter(prometheus.CounterOpts{
			Name: "downstream_worker_chunks_stocked_bytes_total",
			Help: "Bytes of the chunks encoded and added to the inventory.",
		}),
		keyNeed: metrics.NewGaugeVec(prometheus.GaugeOpts{
			Name: "downstream_worker_replaced_key_contracts",
			Help: "Contracts that still need a heartbeat key that another one replaces, when this worker last counted them.",
		}, []string{"fingerprint"}),
	}
}

// replaceEach is the time between two steps of the replacement of a key. A step may read all
// contracts.
const replaceEach = 30 * time.Second

// Run keeps the inventory full until ctx ends.
func (s *Stocker) Run(ctx context.Context) error {
	var encoders sync.WaitGroup
	for range s.encoders {
		encoders.Go(func() {
			for ctx.Err() == nil {
				size, err := s.StockOne(ctx)
				if err != nil && ctx.Err() == nil {
					s.log.Warn("cannot stock the inventory", "error", err)
				}
				if err != nil || size == 0 {
					pause(ctx, s.Interval)
				}
			}
		})
	}
	if s.inventory.Redundancy > 1 {
		encoders.Go(func() { s.countCopies(ctx) })
	}
	encoders.Go(func() { s.replaceKeys(ctx) })
	encoders.Wait()
	return nil
}

// replaceKeys moves what refers to a replaced key to its successor, until ctx ends.
func (s *Stocker) replaceKeys(ctx context.Context) {
	for ; ctx.Err() == nil; pause(ctx, min(s.Interval, s.Replace)) {
		for _, key := range s.keys.All() {
			if key.State() != store.KeyRetiring {
				continue
			}
			if err := s.replaceKey(ctx, key); err != nil && ctx.Err() == nil {
				s.log.Warn("cannot replace a heartbeat key", "fingerprint", key.Fingerprint, "error", err)
			}
		}
	}
}

// replaceKey does a step of the replacement of a key. Farmers get chunks of the old key until
// the inventory of the new key is full or that of the old key is empty. If another person may
// know the old key, they get none.
func (s *Stocker) replaceKey(ctx context.Context, old keyring.Key) error {
	mine, err := s.store.TakeTurn(ctx, fmt.Sprint("replace key ", old.ID), s.Replace, s.now())
	if err != nil || !mine {
		return err
	}
	successor, err := s.keys.Successor(old)
	if err != nil {
		return err
	}
	waiting, err := s.store.Waiting(ctx, old.ID)
	if err != nil {
		return err
	}
	_, full := s.full.Load(successor.ID)
	r := store.Replacement{Old: old.ID, New: successor.ID, MoveTokens: full || waiting == 0 || old.Compromised}
	if schemes.Resealable(old.Type()) {
		r.Reseal = func(state []byte) ([]byte, error) {
			return schemes.Reseal(state, old.Heartbeat, successor.Heartbeat)
		}
	}
	need, err := s.store.ReplaceKey(ctx, r, s.now())
	if err == nil {
		s.keyNeed.WithLabelValues(store.ShortKey(old.Fingerprint)).Set(float64(need))
		s.log.Info("replaced a heartbeat key where that is possible now", "fingerprint", old.Fingerprint, "successor", successor.Fingerprint, "contracts_left", need)
	}
	return err
}

// countCopies corrects the numbers of copies, a few files at a time, until ctx ends.
func (s *Stocker) countCopies(ctx context.Context) {
	const each, files = 10 * time.Second, 1000
	for last := int64(0); ctx.Err() == nil; pause(ctx, s.Interval) {
		mine, err := s.store.TakeTurn(ctx, "copies", each, s.now())
		if err == nil && mine {
			last, err = s.store.Copies(ctx, last, files)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Warn("cannot count copies", "error", err)
		}
	}
}

// StockOne makes one chunk for the first active heartbeat key whose inventory is not full.
// It returns the size of the chunk, or 0 if all inventories are full.
func (s *Stocker) StockOne(ctx context.Context) (size int64, err error) {
	for _, key := range s.keys.All() {
		if key.State() != store.KeyActive {
			continue
		}
		reservation, ok, err := s.store.Reserve(ctx, key.ID, s.inventory, s.Lease, s.now())
		if err != nil {
			return 0, err
		}
		if ok {
			s.full.Delete(key.ID)
			return reservation.Size, s.fill(ctx, key, reservation)
		}
		s.full.Store(key.ID, true)
	}
	return 0, nil
}

// fill makes the chunk for a reservation. On an error, it releases the reservation.
func (s *Stocker) fill(ctx context.Context, key keyring.Key, reservation store.Reservation) error {
	err := s.withLease(ctx, reservation, func(ctx context.Context) error {
		return s.make(ctx, key, reservation)
	})
	if err != nil {
		release, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		err = errors.Join(err, s.store.ReleaseReservation(release, reservation.ID))
	}
	return err
}

// withLease runs work, and extends the lease of the reservation as long as work
// runs. If the lease cannot be extended, it cancels work.
func (s *Stocker) withLease(ctx context.Context, reservation store.Reservation, work func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var renewing sync.WaitGroup
	defer renewing.Wait()
	renewing.Go(func() {
		for {
			pause(ctx, s.Lease/3)
			if ctx.Err() != nil {
				return
			}
			if err := s.store.ExtendLease(ctx, reservation.ID, s.Lease, s.now()); err != nil {
				cancel(fmt.Errorf("the reservation ended, so the chunk is dropped: %w", err))
				return
			}
		}
	})
	err := work(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	cancel(nil)
	return err
}

// Make makes one chunk of size bytes of a new file and adds the chunk to the inventory.
func (s *Stocker) Make(ctx context.Context, key keyring.Key, size int64) error {
	return s.make(ctx, key, store.Reservation{Size: size})
}

// make makes the reserved chunk and adds it to the inventory.
func (s *Stocker) make(ctx context.Context, key keyring.Key, reservation store.Reservation) error {
	seed := reservation.Seed
	if seed == "" {
		random := make([]byte, 16)
		rand.Read(random)
		seed = hex.EncodeToString(random)
	}
	chunk, err := s.encode(ctx, key, seed, reservation.Size)
	if err != nil {
		return fmt.Errorf("encode a chunk of %d bytes: %w", reservation.Size, err)
	}
	chunk.ContentID, chunk.Redundancy = reservation.ContentID, s.inventory.Redundancy
	if err := s.store.Stock(ctx, reservation.ID, chunk, s.now()); err != nil {
		return err
	}
	s.stocked.Inc()
	s.bytes.Add(float64(chunk.Size))
	return nil
}

// encode encodes the file that it generates from the seed, with secrets that no other copy
// of the file has. It holds only the tag in memory: about a tenth of the file's size with
// Swizzle, a few kilobytes with Merkle.
func (s *Stocker) encode(ctx context.Context, key keyring.Key, seed string, size int64) (store.NewChunk, error) {
	var tag bytes.Buffer
	content := sha256.New()
	options := heartbeat.EncodeOptions{Challenges: s.challenges, Content: content}
	state, err := key.Encode(ctx, filestream.New(seed, size), size, &tag, options)
	if err != nil {
		return store.NewChunk{}, err
	}
	challenge, state, err := key.Challenge(state)
	if err != nil {
		return store.NewChunk{}, err
	}
	return store.NewChunk{
		Seed:      seed,
		Hash:      node.FileHash(content.Sum(nil)),
		Size:      size,
		KeyID:     key.ID,
		Challenge: challenge,
		State:     state,
		Tag:       bytes.NewReader(tag.Bytes()), // if the transaction is retried, it reads the tag again
	}, nil
}
