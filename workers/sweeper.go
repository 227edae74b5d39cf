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
	PruneEach time.Duration // between looks through what is left over for long
	Grace     time.Duration // after an expiry, for answers still in the queue
	Retention time.Duration // of expired contracts
	Batch     int           // rows in one transaction
}

// Sweeper takes expired contracts off their farmers' counts, and deletes what
// is long over. Several sweepers take turns.
type Sweeper struct {
	opt     SweeperOptions
	store   *store.Store
	log     *slog.Logger
	now     func() time.Time
	expired prometheus.Counter
}

// NewSweeper makes a sweeper.
func NewSweeper(deps Deps, opt SweeperOptions) *Sweeper {
	s := &Sweeper{
		opt: opt, store: deps.Store, log: deps.Log, now: deps.clock(),
		expired: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "downstream_worker_contracts_expired_total",
			Help: "Contracts whose due passed unanswered, taken off their farmers' counts.",
		}),
	}
	deps.Registry.MustRegister(s.expired)
	return s
}

// Run sweeps until ctx ends.
func (s *Sweeper) Run(ctx context.Context) error {
	duties := []struct {
		what string
		each time.Duration
		do   func(context.Context) error
	}{
		{"sweep", s.opt.Interval, s.Sweep},
		{"clean", s.opt.CleanEach, s.Clean},
		{"prune", s.opt.PruneEach, s.Prune},
	}
	for ; ctx.Err() == nil; pause(ctx, s.opt.Interval) {
		for _, duty := range duties {
			mine, err := s.store.TakeTurn(ctx, duty.what, duty.each, s.now())
			if err == nil && mine {
				err = duty.do(ctx)
			}
			if err != nil && ctx.Err() == nil {
				s.log.Warn("cannot "+duty.what, "error", err)
			}
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
	cleaned, err := s.store.CleanContracts(ctx, s.opt.Retention, s.now().Add(-s.opt.Grace))
	if err != nil {
		return err
	}
	s.log.Debug("cleaned", "removed", cleaned)
	return nil
}

// Prune deletes the locks of IP addresses that nobody holds a token at.
func (s *Sweeper) Prune(ctx context.Context) error {
	pruned, err := s.store.PruneIPs(ctx)
	s.log.Debug("pruned", "addresses", pruned)
	return err
}
