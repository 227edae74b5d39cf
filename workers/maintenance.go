package workers

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
)

// Sweeper subtracts expired contracts from the counts of their tokens, and deletes
// old rows. Several sweepers share the work.
type Sweeper struct {
	cfg       SweepConfig
	retention time.Duration // how long expired contracts are kept
	unused    time.Duration // how long tokens without a contract are kept; 0 for ever
	store     *store.Store
	log       *slog.Logger
	now       func() time.Time
	known     func() time.Time
	expired   prometheus.Counter
	repaired  prometheus.Counter
}

// NewSweeper creates a sweeper. It keeps expired contracts for retention, and tokens
// that never had a contract for unused, or for ever if unused is 0.
func NewSweeper(deps Deps, cfg SweepConfig, retention, unused time.Duration) *Sweeper {
	return &Sweeper{
		cfg: cfg, retention: retention, unused: unused, store: deps.Store, log: deps.Log, now: deps.clock(), known: deps.known(),
		expired: promauto.With(deps.Registry).NewCounter(prometheus.CounterOpts{
			Name: "downstream_worker_contracts_expired_total",
			Help: "Contracts that expired without a proof and were subtracted from their farmers' totals.",
		}),
		repaired: promauto.With(deps.Registry).NewCounter(prometheus.CounterOpts{
			Name: "downstream_worker_records_repaired_total",
			Help: "Tokens whose counts differed from their contracts, and rows that referred to a missing row. The sweeper repaired them.",
		}),
	}
}

// Run sweeps until ctx ends.
func (s *Sweeper) Run(ctx context.Context) error {
	duties := []struct {
		name string // name of the task, and of its lock in the store
		each time.Duration
		do   func(context.Context) error
	}{
		{store.RepairTurn, time.Hour, s.Repair}, // first, so that the others see no rows that a restore left wrong
		{"sweep", s.cfg.Interval, s.Sweep},
		{"clean", time.Minute, s.Clean},
		{"prune", time.Hour, s.Prune},
		{"log administrative acts", time.Minute, s.logActs},
	}
	for ; ctx.Err() == nil; pause(ctx, s.cfg.Interval) {
		for _, duty := range duties {
			mine, err := s.store.TakeTurn(ctx, duty.name, duty.each, s.now())
			if err == nil && mine {
				err = duty.do(ctx)
			}
			if err != nil && ctx.Err() == nil {
				s.log.Warn("cannot "+duty.name, "error", err)
			}
		}
	}
	return nil
}

// Sweep subtracts expired contracts from the counts of their tokens.
func (s *Sweeper) Sweep(ctx context.Context) error {
	before := s.before()
	for {
		n, err := s.store.Expire(ctx, before, s.cfg.Batch)
		if err != nil {
			return err
		}
		s.expired.Add(float64(n))
		if n < int64(s.cfg.Batch) {
			return nil
		}
	}
}

// before returns the time until which deadlines count as missed.
func (s *Sweeper) before() time.Time {
	before := s.now().Add(-s.cfg.Grace)
	if known := s.known(); known.Before(before) {
		return known
	}
	return before
}

// Clean deletes the tags of contracts with an accepted proof, contracts that
// expired longer ago than the retention, files that no contract needs, and unused
// tokens.
func (s *Sweeper) Clean(ctx context.Context) error {
	now := s.now()
	cleaned, err := s.store.CleanContracts(ctx, s.retention, s.before())
	if err != nil {
		return err
	}
	s.log.Debug("cleaned", "removed", cleaned)
	if s.unused == 0 {
		return nil
	}
	deleted, err := s.store.DeleteUnusedTokens(ctx, now.Add(-s.unused), now)
	if deleted > 0 {
		s.log.Info("deleted tokens that never had a contract", "tokens", deleted, "older", s.unused)
	}
	return err
}

// Prune deletes the lock rows of IP addresses that have no token.
func (s *Sweeper) Prune(ctx context.Context) error {
	pruned, err := s.store.PruneIPs(ctx)
	s.log.Debug("pruned", "addresses", pruned)
	return err
}

// logActs logs what administrators did with commands.
func (s *Sweeper) logActs(ctx context.Context) error {
	return s.store.LogActs(ctx, func(act store.Act) {
		s.log.Info("administrative act", "who", act.Who, "what", act.What, "when", act.At)
	})
}

// Repair corrects records that a restored backup or a person left wrong.
func (s *Sweeper) Repair(ctx context.Context) error {
	done, err := s.store.Repair(ctx, s.now())
	s.repaired.Add(float64(done.Counts + done.Rows))
	if done != (store.Repaired{}) {
		s.log.Warn("the records contradicted each other and were repaired; this is normal after a restore from a backup",
			"counts", done.Counts, "rows", done.Rows)
	}
	return err
}

// Recorder maintains the record of the node's history. The transactions that change
// farmers write the entries, so no entry is lost if no recorder runs. A recorder
// merges old entries and corrects the record. If the node has farmers but no record
// yet, a recorder creates the record. Several recorders may run at the same time.
type Recorder struct {
	cfg        store.RecordConfig
	redundancy int64
	store      *store.Store
	log        *slog.Logger
	now        func() time.Time

	files, below, copies, lost, repaired prometheus.Gauge

	levels levels
}

// copiesTurn is how often one of the recorders looks at the copies of files. If there are
// 1,000,000 contracts, a look takes half a second, and seconds if many are unproven.
const copiesTurn = 5 * time.Minute

// NewRecorder creates a recorder. redundancy is how many farmers should hold each file.
func NewRecorder(deps Deps, cfg store.RecordConfig, redundancy int64) *Recorder {
	gauge := func(name, help string) prometheus.Gauge {
		return promauto.With(deps.Registry).NewGauge(prometheus.GaugeOpts{Name: name, Help: help + " The same in all workers that sweep; 0 if the redundancy is 1."})
	}
	r := &Recorder{
		cfg: cfg, redundancy: redundancy, store: deps.Store, log: deps.Log, now: deps.clock(),
		files:    gauge("downstream_files_held", "Files that may have several copies and of which farmers hold at least one."),
		below:    gauge("downstream_files_below_target", "Files held by farmers of which fewer copies are proved than inventory.redundancy."),
		copies:   gauge("downstream_copies_live", "Live copies of files that may have several copies."),
		lost:     gauge("downstream_copies_lost_24h", "Copies that were lost in the last 24 hours."),
		repaired: gauge("downstream_copies_repaired_24h", "Lost copies that were replaced in the last 24 hours."),
	}
	deps.Registry.MustRegister(&r.levels)
	return r
}

// Run maintains the record until ctx ends. It calls Fold, Measure and Copies every minute
// and Balance every hour.
func (r *Recorder) Run(ctx context.Context) error {
	var balanced time.Time
	for ; ctx.Err() == nil; pause(ctx, time.Minute) {
		var err error
		if now := r.now(); now.Sub(balanced) >= time.Hour {
			balanced = now
			err = r.Balance(ctx)
		}
		if err == nil {
			err = r.Fold(ctx)
		}
		err = errors.Join(err, r.Measure(ctx))
		if err == nil && r.redundancy > 1 {
			err = r.Copies(ctx)
		}
		if err != nil && ctx.Err() == nil {
			r.log.Warn("cannot maintain the record", "error", err)
		}
	}
	return nil
}

// Fold merges old entries into entries with longer steps, and deletes the oldest
// entries.
func (r *Recorder) Fold(ctx context.Context) error {
	return r.store.FoldRecord(ctx, r.now(), r.cfg)
}

// Copies looks at the copies of files, if it is this recorder's turn, and exports what the last look
// has found.
func (r *Recorder) Copies(ctx context.Context) error {
	now := r.now()
	mine, err := r.store.TakeTurn(ctx, "record copies", copiesTurn, now)
	if err == nil && mine {
		err = r.store.RecordCopies(ctx, r.redundancy, now)
	}
	if err != nil {
		return err
	}
	hours, err := r.store.CopyHours(ctx, now.Add(-2*time.Hour))
	if len(hours) > 0 {
		last := hours[len(hours)-1]
		r.files.Set(float64(last.Files))
		r.below.Set(float64(last.BelowTarget))
		r.copies.Set(float64(last.Copies))
		r.lost.Set(float64(last.Lost))
		r.repaired.Set(float64(last.Repaired))
	}
	return err
}

// Balance corrects the record if its sums differ from the tokens.
func (r *Recorder) Balance(ctx context.Context) error {
	corrected, err := r.store.BalanceRecord(ctx, r.now())
	if corrected {
		r.log.Info("the record differed from the farmers' tokens and was corrected;" +
			" this is normal once, on a node that is older than its record")
	}
	return err
}

// Measure reads the sizes of the node that the recorder exports.
func (r *Recorder) Measure(ctx context.Context) error {
	sizes, err := r.sizes(ctx)
	r.levels.last.Store(sizes)
	return err
}

// sizes returns the values of levelDescs, or nil if it cannot read them.
func (r *Recorder) sizes(ctx context.Context) (*[len(levelDescs)]int64, error) {
	chunks, bytes, err := r.store.WaitingSize(ctx)
	if err != nil {
		return nil, err
	}
	now := r.now()
	spans, err := r.store.History(ctx, now, now, time.Minute)
	if err != nil {
		return nil, err
	}
	var t node.Totals // a node without farmers has no record
	if len(spans) > 0 {
		t = spans[len(spans)-1].Totals
	}
	return &[len(levelDescs)]int64{t.Farmers, t.Online, t.Contracts, t.Size, chunks, bytes}, nil
}

// levels exports the sizes of the node that were measured last. It exports none if there
// are none, because a missing value is not zero.
type levels struct {
	last atomic.Pointer[[len(levelDescs)]int64]
}

func levelDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(name, help+" The same in all workers that sweep, which read it once a minute.", nil, nil)
}

// levelDescs are in the order of the values in levels.
var levelDescs = [...]*prometheus.Desc{
	levelDesc("downstream_farmers", "Farmers: tokens, with or without contracts."),
	levelDesc("downstream_farmers_online", "Farmers that have a contract which has not expired."),
	levelDesc("downstream_contracts", "Contracts that have not expired."),
	levelDesc("downstream_contracts_bytes", "Size of the files of these contracts."),
	levelDesc("downstream_inventory_chunks", "Chunks that wait for farmers."),
	levelDesc("downstream_inventory_bytes", "Size of the files of these chunks."),
}

// Describe sends the descriptions of the metrics.
func (l *levels) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range levelDescs {
		ch <- d
	}
}

// Collect sends the sizes that were measured last.
func (l *levels) Collect(ch chan<- prometheus.Metric) {
	last := l.last.Load()
	if last == nil {
		return
	}
	for i, d := range levelDescs {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(last[i]))
	}
}
