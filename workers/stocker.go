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

	inventory  node.Inventory // inventory of each heartbeat key
	encoders   int
	challenges int
	store      *store.Store
	keys       *keyring.Ring
	log        *slog.Logger
	now        func() time.Time
	stocked    prometheus.Counter
	bytes      prometheus.Counter
}

// NewStocker creates a stocker that encodes at most encoders chunks at the same
// time. challenges is the number of challenges in a Merkle tag.
func NewStocker(deps Deps, inventory node.Inventory, encoders, challenges int) *Stocker {
	metrics := promauto.With(deps.Registry)
	return &Stocker{
		Interval: time.Second, Lease: time.Minute,
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
	}
}

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
	encoders.Wait()
	return nil
}

// StockOne makes one chunk for the first heartbeat key whose inventory is not full.
// It returns the size of the chunk, or 0 if all inventories are full.
func (s *Stocker) StockOne(ctx context.Context) (size int64, err error) {
	for _, key := range s.keys.All() {
		reservation, ok, err := s.store.Reserve(ctx, key.ID, s.inventory, s.Lease, s.now())
		if err != nil {
			return 0, err
		}
		if ok {
			return reservation.Size, s.fill(ctx, key, reservation)
		}
	}
	return 0, nil
}

// fill makes the chunk for a reservation. On an error, it releases the reservation.
func (s *Stocker) fill(ctx context.Context, key keyring.Key, reservation store.Reservation) error {
	err := s.withLease(ctx, reservation, func(ctx context.Context) error {
		return s.Make(ctx, key, reservation.Size, reservation.ID)
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

// Make makes one chunk of size bytes and adds the chunk to the inventory.
// reservationID is the id of the chunk's reservation, or 0 if there is none.
func (s *Stocker) Make(ctx context.Context, key keyring.Key, size, reservationID int64) error {
	chunk, err := s.encode(ctx, key, size)
	if err != nil {
		return fmt.Errorf("encode a chunk of %d bytes: %w", size, err)
	}
	if err := s.store.Stock(ctx, reservationID, chunk, s.now()); err != nil {
		return err
	}
	s.stocked.Inc()
	s.bytes.Add(float64(size))
	return nil
}

// encode encodes a file that it generates from a random seed. It holds only the tag
// in memory: about a tenth of the file's size with Swizzle, a few kilobytes with
// Merkle.
func (s *Stocker) encode(ctx context.Context, key keyring.Key, size int64) (store.NewChunk, error) {
	random := make([]byte, 16)
	rand.Read(random)
	seed := hex.EncodeToString(random)

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
