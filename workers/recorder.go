package workers

import (
	"context"
	"log/slog"
	"time"

	"github.com/driveshare/downstream-node/internal/store"
)

// RecorderOptions say when to tend the record. Every field must be set.
type RecorderOptions struct {
	Interval    time.Duration // between foldings
	BalanceEach time.Duration // between looks at whether it agrees with the tokens
	Keep        store.Keep
}

// Recorder tends the node's record of how it went. What happens is recorded by
// the transactions in which it happens; what is left to do is to keep that
// small and, on a node that is older than its record, to begin it. Several
// recorders do no harm, and without one nothing is lost.
type Recorder struct {
	opt   RecorderOptions
	store *store.Store
	log   *slog.Logger
	now   func() time.Time
}

// NewRecorder makes a recorder.
func NewRecorder(deps Deps, opt RecorderOptions) *Recorder {
	return &Recorder{opt: opt, store: deps.Store, log: deps.Log, now: deps.clock()}
}

// Run tends the record until ctx ends.
func (r *Recorder) Run(ctx context.Context) error {
	var balanced time.Time
	for ; ctx.Err() == nil; pause(ctx, r.opt.Interval) {
		var err error
		if time.Since(balanced) >= r.opt.BalanceEach {
			balanced = time.Now()
			err = r.Balance(ctx)
		}
		if err == nil {
			err = r.Fold(ctx)
		}
		if err != nil && ctx.Err() == nil {
			r.log.Warn("cannot tend the record", "error", err)
		}
	}
	return nil
}

// Fold moves what is old to coarser steps and deletes what is too old.
func (r *Recorder) Fold(ctx context.Context) error {
	return r.store.FoldRecord(ctx, r.now(), r.opt.Keep)
}

// Balance corrects the record where it does not agree with the tokens.
func (r *Recorder) Balance(ctx context.Context) error {
	corrected, err := r.store.BalanceRecord(ctx, r.now())
	if corrected {
		r.log.Info("the record did not agree with the farmers that there are, and was corrected;" +
			" that is so once, on a node that is older than its record")
	}
	return err
}
