package node

import (
	"fmt"
	"time"
)

// Fault is a time in which the node could not take or judge proofs. It must cost no
// farmer anything. So when the fault has ended, the deadlines after its start move:
// by the time from Start to Resume, or by the rest of this time for a contract that was
// handed out during the fault.
type Fault struct {
	ID       int64
	Start    time.Time
	End      time.Time // zero if the node still cannot work
	Resume   time.Time // the end of the time in which farmers come back; zero if End is zero
	Cause    FaultCause
	Evidence string // for people
	Void     int64  // the number of contracts that ended because their farmers did not come back
}

// FaultCause says what went wrong.
type FaultCause string

// Down means that no API replica or no worker was alive, or could use the database
// and the queue.
const Down FaultCause = "down"

const (
	// faultSilence is how long no process of a kind reports before a fault begins.
	faultSilence = 15 * time.Second
	// faultSteady is how long processes of all kinds must have reported before the
	// fault ends.
	faultSteady = 10 * time.Second
	// maxRecovery limits the time that farmers have to come back.
	maxRecovery = 2 * time.Minute
)

// Recovery returns how long farmers have to come back after a fault: one interval, but
// at most two minutes.
func Recovery(interval time.Duration) time.Duration { return min(interval, maxRecovery) }

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
}

// NextFault decides about the node's state from the reports. open is the fault that
// has not ended, or nil. It returns the fault to record: a new one, open with its End
// set, or nil if nothing changes. A duty without any report does not count, because
// the node is new or was stopped for good.
func NextFault(open *Fault, reports []Report, now time.Time, recovery time.Duration) *Fault {
	if open == nil {
		var first *Fault
		for duty, last := range lastReports(reports) {
			if now.Sub(last) <= faultSilence || first != nil && !last.Before(first.Start) {
				continue
			}
			first = &Fault{Start: last, Cause: Down, Evidence: fmt.Sprintf("no process could %s", duty)}
		}
		return first
	}
	for duty := range lastReports(reports) {
		if !steady(duty, reports, now) {
			return nil
		}
	}
	ended := *open
	ended.End = now
	ended.Resume = now.Add(recovery)
	return &ended
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

func steady(duty Duty, reports []Report, now time.Time) bool {
	for _, r := range reports {
		if r.Duty == duty && now.Sub(r.Last) <= faultSilence && now.Sub(r.Since) >= faultSteady {
			return true
		}
	}
	return false
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
// are the faults whose deadlines have not all moved. reports must contain the caller's
// own report. If there are no reports, KnownUntil returns now.
func KnownUntil(unapplied []Fault, reports []Report, now time.Time) time.Time {
	known := now
	for _, last := range lastReports(reports) {
		if last.Before(known) {
			known = last
		}
	}
	for _, f := range unapplied {
		if f.Start.Before(known) {
			known = f.Start
		}
	}
	return known
}
