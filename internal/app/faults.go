package app

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
)

const (
	// reportEach is how often a process reports and looks for faults.
	reportEach = 4 * time.Second
	// reportTimeout limits one report.
	reportTimeout = 10 * time.Second
)

// knownTime is the time until which it is known that the node could work; see
// node.KnownUntil. The zero value is for a node in which no process reports: there is no
// limit. A knownTime is safe for concurrent use.
type knownTime struct{ at atomic.Pointer[time.Time] }

func (k *knownTime) set(t time.Time) { k.at.Store(&t) }

func (k *knownTime) get() time.Time {
	if t := k.at.Load(); t != nil {
		return *t
	}
	return time.UnixMicro(math.MaxInt64)
}

// age returns how long before now the known time is. It is 0 before the first report,
// and if no process reports.
func (k *knownTime) age(now time.Time) time.Duration {
	if t := k.get(); !t.IsZero() {
		return max(now.Sub(t), 0)
	}
	return 0
}

// watchFaults reports that this process can work, looks for faults of the node, and
// applies those that are over, until ctx ends.
func (a *App) watchFaults(ctx context.Context) error {
	for {
		wait := reportEach
		state, err := a.report(ctx)
		if err == nil {
			var begun, done bool
			switch begun, done, err = a.applyFaults(ctx, state.Unapplied); {
			case begun && !done:
				wait = 0
			case begun:
				wait = reportEach / 4 // so that deadlines are known again soon
			}
		}
		if err != nil && ctx.Err() == nil {
			a.Log.Warn("cannot look for faults of the node; deadlines since the last report are not decided", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// report reports that this process can work, if it can use Redis. The database gets
// the report, so a process that cannot use the database cannot report.
func (a *App) report(ctx context.Context) (store.FaultState, error) {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	well := a.onDuty && a.Redis.Probe(ctx) == nil
	interval := a.Config.Contracts.Interval
	seen := store.Seen{Well: well, Proofs: a.proofs.Counts(a.Now(), node.ProofWindow(interval)), Back: a.proofs.Back()}
	state, err := a.process.Report(ctx, seen, store.FaultRules{Interval: interval, Hold: a.Config.Contracts.UnreachableHold})
	if err != nil {
		for _, token := range seen.Back { // the next report has them
			a.proofs.Returned(token)
		}
		return state, err
	}
	a.known.set(state.Known)
	a.faults.update(state)
	if f := state.Changed; f != nil {
		a.logFault(f)
	}
	for _, f := range state.Unapplied {
		if f.Cause == node.Maintenance && f.End.IsZero() && a.maintenance != f.ID {
			a.maintenance = f.ID
			a.Log.Warn("a planned maintenance has begun; no deadline is missed until it ends", "fault", f.ID, "since", f.Start, "until", f.Planned, "reason", f.Evidence)
		}
	}
	return state, nil
}

func (a *App) logFault(f *node.Fault) {
	log := a.Log.With("fault", f.ID, "cause", f.Cause, "since", f.Start, "reason", f.Evidence)
	switch {
	case f.End.IsZero() && f.Cause == node.Unreachable:
		log.Warn("farmers may be unable to reach the node; no deadline is missed until this is known")
	case f.End.IsZero():
		log.Error("a fault of the node has begun; no deadline is missed until it ends")
	case f.Discarded:
		log.Warn("no farmer missed a deadline because the node was unreachable, so no deadline moves", "end", f.End)
	default:
		log.Warn("the fault of the node has ended; deadlines after its start move", "end", f.End)
	}
}

// applyFor is how long a process applies faults until it reports again. If it did not report for
// longer, the node would seem to be down again.
const applyFor = 2 * time.Second

// applyFaults moves the deadlines after the start of the faults that have ended, for some time.
// It reports whether there was such a fault, and whether all deadlines have moved.
func (a *App) applyFaults(ctx context.Context, faults []node.Fault) (begun, done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	start := time.Now()
	for _, f := range faults {
		if f.End.IsZero() {
			continue
		}
		begun = true
		for done := false; !done; {
			if time.Since(start) > applyFor {
				return true, false, nil
			}
			if done, err = a.Store.ApplyFault(ctx, f.ID); err != nil {
				return true, false, err
			}
		}
		a.Log.Info("every deadline since the start of the fault has moved", "fault", f.ID)
	}
	return begun, true, nil
}
