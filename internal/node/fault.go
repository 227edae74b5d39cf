package node

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"
)

// Fault is a time in which the node could not take or judge proofs. It must cost no
// farmer anything. So when the fault has ended, the deadlines of unanswered challenges move by
// its length, and no contract that was live in it expires before Resume. Uptimes leave
// out the time from Start to Resume.
type Fault struct {
	ID       int64
	Start    time.Time
	End      time.Time // zero if the node still cannot work
	Resume   time.Time // the end of the time in which farmers come back
	Cause    FaultCause
	Evidence string // for people
	Void     int64  // the number of contracts that ended because their farmers did not come back

	Planned time.Time // the planned end of a maintenance
	Silent  int64     // of an unreachable node: the most farmers that were silent at once

	// Discarded means that an unreachable node was reachable after all: the silent
	// farmers did not come back. Then no deadline moves.
	Discarded bool
}

// Suspected reports whether the node does not know yet if this is its fault.
func (f *Fault) Suspected() bool { return f.Cause == Unreachable && f.End.IsZero() }

// FaultCause says what went wrong.
type FaultCause string

const (
	// Down means that no API replica or no worker was alive, or could use the database
	// and the queue.
	Down FaultCause = "down"
	// Failing means that the node could not decide on most of the proofs that it got.
	Failing FaultCause = "failing"
	// Unreachable means that most proofs that were due did not arrive. This is a guess,
	// so the fault counts only if the silent farmers come back.
	Unreachable FaultCause = "unreachable"
	// Maintenance was planned. Challenges that are issued after it was announced are due
	// after its end, see Postpone.
	Maintenance FaultCause = "maintenance"
)

const (
	// faultSilence is how long no process of a kind reports before a fault begins. It is
	// also how long most proofs must fail.
	faultSilence = 15 * time.Second
	// faultSteady is how long processes of all kinds must have reported before the
	// fault ends.
	faultSteady = 10 * time.Second
	// maxRecovery limits the time that farmers have to come back.
	maxRecovery = 2 * time.Minute
	// maxProofWindow limits the time whose proofs a process reports.
	maxProofWindow = 30 * time.Second
	// maintenanceMargin is how long before a maintenance a farmer can still ask for its next
	// challenge. If one is due later than that, it is postponed too.
	maintenanceMargin = 5 * time.Second
	// maxSpread limits the time over which farmers return after a maintenance.
	maxSpread = time.Minute
)

// MaintenanceNotice is how long it can take until all processes know of a maintenance that
// was announced: two reports. A maintenance must start one interval later than that, or
// farmers have challenges that are due in it.
const MaintenanceNotice = 10 * time.Second

// Recovery returns how long farmers have to come back after a fault: one interval, but
// at most two minutes.
func Recovery(interval time.Duration) time.Duration { return min(interval, maxRecovery) }

// ProofWindow returns how long a process counts proofs for its reports.
func ProofWindow(interval time.Duration) time.Duration { return min(interval/4, maxProofWindow) }

// Duty is work that a node needs processes for.
type Duty string

// The duties of a node. A standalone node has both.
const (
	TakeProofs  Duty = "take proofs"
	JudgeProofs Duty = "judge proofs"
)

// Report is what a process last reported: that it could do its duty without a break
// from Since to Last.
type Report struct {
	Duty        Duty
	Since, Last time.Time
	Proofs      ProofCounts
}

// ProofCounts counts the proofs that arrived at a process in the last ProofWindow.
type ProofCounts struct {
	Decided   int64
	Undecided int64 // the node could not decide, and the farmer must send them again

	// If most proofs fail: since when, and the last one.
	FailingSince, FailingUntil time.Time
}

// failing reports whether most proofs failed.
func (c ProofCounts) failing() bool { return c.Undecided > c.Decided }

// Silence says which proofs did not arrive although they were expected.
type Silence struct {
	// Missing contracts have sent no proof, although it was expected more than a quarter of an
	// interval ago. Their deadlines have not passed, and they belong to Farmers. Proved contracts have
	// sent the proof that was expected in the last quarter of an interval; large counts can be
	// too low.
	Missing, Farmers, Proved int64

	// For a fault that is open: Away farmers have not come back since it began. Missed reports
	// whether a deadline has passed. Recent proofs were expected in the last ProofWindow and
	// did not arrive.
	Away, Recent int64
	Missed       bool
}

// suspicious reports whether the silence can be the node's fault: few proofs arrive, and
// many are missing. One contract is enough: if a small node waited for more, contracts
// would expire until then.
func (s Silence) suspicious() bool { return s.Missing > 4*s.Proved }

// Watch is what Next decides from.
type Watch struct {
	Open     *Fault // the fault that has not ended, or nil
	Last     Fault  // the fault that ended last
	Reports  []Report
	Silence  Silence
	Interval time.Duration
	Hold     time.Duration // how long an unreachable node may hold deadlines
}

// Next returns the fault to record: a new one, or open with a change, or nil
// if nothing changes. A duty without any report does not count, because
// the node is new or was stopped for good.
func (w Watch) Next(now time.Time) *Fault {
	if w.Open == nil {
		return w.begin(now)
	}
	changed := *w.Open
	if !w.Last.Discarded { // the deadlines have moved by the time that both faults have in common
		changed.Start = later(changed.Start, w.Last.End)
	}
	proofs := w.proofs(now)
	if changed.Cause == Unreachable {
		// What the node knows for certain counts more than a guess.
		if certain := w.certain(proofs, now); certain != nil {
			changed.Cause, changed.Evidence = certain.Cause, certain.Evidence
		} else {
			changed.lookForFarmers(w, proofs, now)
		}
	} else if w.steady(now) && !now.Before(changed.Planned) && !(changed.Cause == Failing && proofs.failing()) {
		changed.end(now, w.Interval)
	}
	if changed == *w.Open {
		return nil
	}
	return &changed
}

func (f *Fault) end(now time.Time, interval time.Duration) {
	f.End, f.Resume = now, now.Add(Recovery(interval))
}

// begin returns the fault that begins, or nil.
func (w Watch) begin(now time.Time) *Fault {
	if f := w.certain(w.proofs(now), now); f != nil {
		return f
	}
	if w.Hold > 0 && w.Silence.suspicious() && !w.trustsItself(now) {
		return &Fault{
			Start: later(now.Add(-w.Interval/4), w.Last.End), Cause: Unreachable, Silent: w.Silence.Farmers,
			Evidence: fmt.Sprintf("no proof arrived for %s of %s", Counted(w.Silence.Missing, "contract"), Counted(w.Silence.Farmers, "farmer")),
		}
	}
	return nil
}

// trustsItself reports whether the node does not suspect itself now: it has just done so for the
// longest time without a reason. So farmers that are silent on purpose can hold deadlines
// for half of the time at most.
func (w Watch) trustsItself(now time.Time) bool {
	return w.Last.Discarded && w.Last.End.Sub(w.Last.Start) >= w.Hold && now.Sub(w.Last.End) < w.Hold
}

// lookForFarmers ends the fault of an unreachable node if half of the silent
// farmers have come back. It discards the fault if proofs arrive again, and still arrive when
// the silent farmers have had time to come back, or if the fault has lasted for too long.
func (f *Fault) lookForFarmers(w Watch, proofs ProofCounts, now time.Time) {
	arrived := proofs.Decided + proofs.Undecided
	f.Silent = max(f.Silent, w.Silence.Away)
	if w.Silence.Recent > 4*arrived {
		f.Resume = time.Time{}
	} else if arrived > 0 && f.Resume.IsZero() {
		f.Resume = now.Add(Recovery(w.Interval))
	}
	switch {
	case 2*w.Silence.Away <= f.Silent && !w.Silence.Missed:
		f.End, f.Discarded = f.Start, true // no deadline has passed, so none needs to move
	case 2*w.Silence.Away <= f.Silent && w.steady(now):
		f.end(now, w.Interval)
	case now.Sub(f.Start) >= w.Hold, arrived > 0 && !f.Resume.IsZero() && !now.Before(f.Resume):
		f.End, f.Discarded = now, true
	}
}

// certain returns a fault that the node's own reports show, or nil.
func (w Watch) certain(proofs ProofCounts, now time.Time) (first *Fault) {
	for duty, last := range lastReports(w.Reports) {
		if now.Sub(last) > faultSilence && (first == nil || last.Before(first.Start)) {
			first = &Fault{Start: later(last, w.Last.End), Cause: Down, Evidence: fmt.Sprintf("no process could %s", duty)}
		}
	}
	since := later(proofs.FailingSince, w.Last.End)
	if first == nil && proofs.failing() && proofs.FailingUntil.Sub(since) >= faultSilence {
		first = &Fault{
			Start: since, Cause: Failing,
			Evidence: fmt.Sprintf("%d of %s could not be decided", proofs.Undecided, Counted(proofs.Undecided+proofs.Decided, "proof")),
		}
	}
	return first
}

// proofs adds up the proofs that the processes reported.
func (w Watch) proofs(now time.Time) (sum ProofCounts) {
	for _, r := range w.Reports {
		if r.Duty != TakeProofs || now.Sub(r.Last) > faultSilence {
			continue
		}
		sum.Decided += r.Proofs.Decided
		sum.Undecided += r.Proofs.Undecided
		if since := r.Proofs.FailingSince; !since.IsZero() && (sum.FailingSince.IsZero() || since.Before(sum.FailingSince)) {
			sum.FailingSince = since
		}
		sum.FailingUntil = later(sum.FailingUntil, r.Proofs.FailingUntil)
	}
	return sum
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// lastReports returns when each duty was last reported.
func lastReports(reports []Report) map[Duty]time.Time {
	last := map[Duty]time.Time{}
	for _, r := range reports {
		if r.Last.After(last[r.Duty]) {
			last[r.Duty] = r.Last
		}
	}
	return last
}

// steady reports whether each duty has a process that has done it for some time.
func (w Watch) steady(now time.Time) bool {
	well := map[Duty]bool{}
	for _, r := range w.Reports {
		well[r.Duty] = well[r.Duty] || now.Sub(r.Last) <= faultSilence && now.Sub(r.Since) >= faultSteady
	}
	for _, ok := range well {
		if !ok {
			return false
		}
	}
	return true
}

// Continues returns the Since of a process's next report at now. The process could do
// its duty without a break only if its last report is not old.
func (r Report) Continues(now time.Time) time.Time {
	if r.Last.IsZero() || now.Sub(r.Last) > faultSilence {
		return now
	}
	return r.Since
}

// KnownUntil returns a time. Deadlines up to this time do not move any more. A later
// deadline can still move, so the node must not say that a farmer missed it. unapplied
// are the faults whose deadlines have not all moved. The reports must contain the caller's
// own report. If there are no reports, KnownUntil returns now.
func (w Watch) KnownUntil(unapplied []Fault, now time.Time) time.Time {
	known := now
	for _, last := range lastReports(w.Reports) {
		known = earlier(known, last)
	}
	if proofs := w.proofs(now); proofs.failing() {
		known = earlier(known, later(proofs.FailingSince, w.Last.End))
	}
	for _, f := range unapplied {
		known = earlier(known, f.Start)
	}
	return known
}

// StatedAt returns the time that uptimes are stated at: now, or in a fault the time up to which
// deadlines are known. Until the fault has moved the uptimes, they would seem to fall.
func StatedAt(now, known time.Time) time.Time {
	if known.IsZero() || now.Sub(known) <= faultSilence {
		return now
	}
	return known
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// Postpone returns the due time of a challenge that would be due at due. If that is in a
// planned maintenance, just before it, or in the time in which farmers come back after it, Postpone
// returns a random time soon after that, so that farmers do not all return at once.
// The maintenances must be sorted by their starts.
func Postpone(due time.Time, maintenances []Fault, interval time.Duration) time.Time {
	for _, m := range maintenances {
		if back := m.Planned.Add(Recovery(interval)); due.After(m.Start.Add(-maintenanceMargin)) && due.Before(back) {
			due = back.Add(rand.N(min(interval, maxSpread))).Truncate(time.Second)
			due = later(due, back)
		}
	}
	return due
}

// Counted writes a number with its noun, and with commas: 1 contract, 1,234 contracts.
func Counted(n int64, noun string) string {
	return humanize.Comma(n) + " " + english.PluralWord(int(n), noun, "")
}
