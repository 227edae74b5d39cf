package node

import (
	"fmt"
	"time"
)

// ScoreRules say how the node rates farmers.
type ScoreRules struct {
	// HalfLife is the time after which a slot weighs half.
	HalfLife time.Duration

	// A farmer is suspended if the upper bound of its score is below these shares. 0
	// means never.
	MinOnline, MinCorrect float64
}

// Standing says whether a farmer gets contracts.
type Standing string

// The standings. A farmer that has sent no accepted proof is new, unless the operator
// has suspended it.
const (
	New       Standing = "new"
	Good      Standing = "good"
	Suspended Standing = "suspended"
)

// Suspension stops hand-outs to a farmer. It does not end contracts. The zero value is
// no suspension.
type Suspension struct {
	Since  time.Time
	By     Suspender
	Reason string
}

// Suspender is who suspended a farmer.
type Suspender string

// A suspension of a rule ends if the bound of the rule is high enough again. One
// of the operator ends if the operator lifts it.
const (
	NotSuspended Suspender = ""
	ByOnline     Suspender = "online"
	ByCorrect    Suspender = "correct"
	ByOperator   Suspender = "operator"
)

// Lifts says what ends the suspension.
func (s Suspension) Lifts(rules ScoreRules) string {
	switch s.By {
	case ByOnline:
		return fmt.Sprintf("ends if the share of intervals without a missed challenge can be %.4g %% again, within five standard deviations", 100*rules.MinOnline)
	case ByCorrect:
		return fmt.Sprintf("ends if the share of intervals without a wrong proof can be %.4g %% again, within five standard deviations", 100*rules.MinCorrect)
	case ByOperator:
		return "ends if the operator of the node lifts it"
	}
	return ""
}

// A rule looks at every slot of every farmer, so a bound of 95 % would often be too low by
// chance. A suspension needs a bound of zSuspend standard deviations, and at least
// suspendWeight slots, because the interval is too short for fewer. The simulation in
// evidence_test.go shows how seldom a rule is wrong.
const (
	zSuspend      = 5
	suspendWeight = 100
)

// Suspend returns the suspension of a farmer with this evidence at now. current is its
// suspension until now. proved is whether the farmer has sent an accepted proof; the
// limits on contracts without a proof are for the others.
func (r ScoreRules) Suspend(current Suspension, e Evidence, proved bool, now time.Time) Suspension {
	if current.By == ByOperator || !proved || r.MinOnline <= 0 && r.MinCorrect <= 0 && current.By == NotSuspended {
		return current
	}
	age := e.age(now, r.HalfLife)
	for _, rule := range []struct {
		by    Suspender
		track Track
		least float64
		what  string
	}{
		{ByCorrect, e.Correct, r.MinCorrect, "intervals without a wrong proof"},
		{ByOnline, e.Online, r.MinOnline, "intervals without a missed challenge"},
	} {
		s := rule.track.score(age, zSuspend)
		switch {
		case s.Upper >= rule.least:
		case current.By == rule.by:
			return current
		case s.Weight >= suspendWeight:
			return Suspension{now, rule.by, fmt.Sprintf("%s: %.4g %%, and %.4g %% at most; the node wants %.4g %%",
				rule.what, 100*s.Estimate, 100*s.Upper, 100*rule.least)}
		}
	}
	return Suspension{}
}

// Event is something that happened to a farmer.
type Event struct {
	At       time.Time
	Kind     EventKind
	FileHash FileHash // the file of the contract that ended; zero for a change of standing
	FaultID  int64    // the fault that made the contract void, or 0
	Detail   string   // the reason of a change of standing
}

// EventKind says what happened: why a contract ended, or how the standing changed.
type EventKind string

// The kinds of events. If a farmer is deleted, its events are deleted too, so there is no
// kind for this.
const (
	EventCompleted EventKind = "completed" // all challenges were issued and answered
	EventExpired   EventKind = "expired"   // a challenge was not answered in time
	EventWrong     EventKind = "wrong"     // the last challenge got only wrong proofs
	EventVoid      EventKind = "void"      // the node was at fault; this does not count against the farmer
	EventRestored  EventKind = "restored"  // a contract that had ended lives again: a proof for it arrived in time
	EventSuspended EventKind = "suspended"
	EventLifted    EventKind = "lifted"
)

// KeptEvents is the number of events that the node keeps for each farmer.
const KeptEvents = 100
