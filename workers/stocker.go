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

// Stocker keeps the inventory full: it makes files, encodes them, and stores
// them as chunks for farmers. Any number of stockers share the work: each
// reserves a place in the inventory before it encodes.
type Stocker struct {
	Interval time.Duration // between checks of a full inventory
	Lease    time.Duration // of a reservation that is not renewed

	inventory  node.Inventory // for each heartbeat key
	encoders   int
	challenges int
	store      *store.Store
	keys       *keyring.Ring
	log        *slog.Logger
	now        func() time.Time
	stocked    prometheus.Counter
	bytes      prometheus.Counter
}

// NewStocker makes a stocker that encodes as many chunks at once as it has
// encoders. A Merkle tag gets this number of challenges.
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

// StockOne makes one chunk of the first key whose inventory is not full, and
// returns its size; 0 if all are full.
func (s *Stocker) StockOne(ctx context.Context) (size int64, err error) {
	for _, key := range s.keys.All() {
		place, ok, err := s.store.Reserve(ctx, key.ID, s.inventory, s.Lease, s.now())
		if err != nil {
			return 0, err
		}
		if ok {
			return place.Size, s.fill(ctx, key, place)
		}
	}
	return 0, nil
}

// fill makes the chunk for a reserved place. It releases the place on an error.
func (s *Stocker) fill(ctx context.Context, key keyring.Key, place store.Reservation) error {
	err := s.withLease(ctx, place, func(ctx context.Context) error {
		return s.Make(ctx, key, place.Size, place.ID)
	})
	if err != nil {
		release, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		err = errors.Join(err, s.store.ReleaseReservation(release, place.ID))
	}
	return err
}

// withLease renews the lease on place while work runs. If that fails, it
// cancels work.
func (s *Stocker) withLease(ctx context.Context, place store.Reservation, work func(context.Context) error) error {
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
			if err := s.store.ExtendLease(ctx, place.ID, s.Lease, s.now()); err != nil {
				cancel(fmt.Errorf("lost the place in the inventory: %w", err))
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

// Make makes one chunk of size bytes and adds it to the inventory, at the
// reserved place unless that is 0.
func (s *Stocker) Make(ctx context.Context, key keyring.Key, size, place int64) error {
	chunk, err := s.encode(ctx, key, size)
	if err != nil {
		return fmt.Errorf("encode a chunk of %d bytes: %w", size, err)
	}
	if err := s.store.Stock(ctx, place, chunk, s.now()); err != nil {
		return err
	}
	s.stocked.Inc()
	s.bytes.Add(float64(size))
	return nil
}

// encode encodes a file from a random seed. It holds only the tag in memory:
// about a tenth of the file with Swizzle, some kilobytes with Merkle.
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
		Tag:       bytes.NewReader(tag.Bytes()), // a retried transaction reads it again
	}, nil
}
