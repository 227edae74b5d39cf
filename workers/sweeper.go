package workers

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/driveshare/downstream-node/internal/store"
)

// SweeperOptions say when to sweep. Every field must be set.
type SweeperOptions struct {
	Interval  time.Duration // between looks at what has expired
	CleanEach time.Duration // between deletions of what is long over
	Grace     time.Duration // after an expiry, for answers still in the queue
	Retention time.Duration // of expired contracts
	Batch     int           // rows in one transaction
}

// Sweeper takes expired contracts off their farmers' counts, and deletes what is long over. Several sweepers do no harm.
type Sweeper struct {
	opt     SweeperOptions
	store   *store.Store
	log     *slog.Logger
	now     func() time.Time
	expired prometheus.Counter
}

// NewSweeper makes a sweeper.
func NewSweeper(rooms Rooms, opt SweeperOptions) *Sweeper {
	s := &Sweeper{
		opt: opt, store: rooms.Store, log: rooms.Log, now: rooms.clock(),
		expired: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "downstream_worker_contracts_expired_total",
			Help: "Contracts whose due passed unanswered, taken off their farmers' counts.",
		}),
	}
	rooms.Registry.MustRegister(s.expired)
	return s
}

// Run sweeps until ctx ends.
func (s *Sweeper) Run(ctx context.Context) error {
	var cleaned time.Time
	for ; ctx.Err() == nil; pause(ctx, s.opt.Interval) {
		err := s.Sweep(ctx)
		if err == nil && time.Since(cleaned) >= s.opt.CleanEach {
			cleaned = time.Now()
			err = s.Clean(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Warn("cannot sweep", "error", err)
		}
	}
	return nil
}

// Sweep takes what has expired off the counts.
func (s *Sweeper) Sweep(ctx context.Context) error {
	now := s.now()
	for {
		n, err := s.store.Expire(ctx, now.Add(-s.opt.Grace), s.opt.Batch)
		if err != nil {
			return err
		}
		s.expired.Add(float64(n))
		if n < int64(s.opt.Batch) {
			break
		}
	}
	return nil
}

// Clean deletes what nobody needs any more: the tags of contracts that were
// answered, contracts that expired long ago, files that nothing refers to.
func (s *Sweeper) Clean(ctx context.Context) error {
	cleaned, err := s.store.Clean(ctx, s.opt.Retention, s.now().Add(-s.opt.Grace))
	if err != nil {
		return err
	}
	s.log.Debug("cleaned", "removed", cleaned)
	return nil
}
