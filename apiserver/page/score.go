package page

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// rated is a farmer with its rating.
type rated struct {
	node.Farmer
	Rating rating
}

// rating is what the node says about a farmer at a moment.
type rating struct {
	Standing   node.Standing
	Suspension node.Suspension
	Lifts      string // what ends the suspension
	Known      bool   // there is evidence; if there is none, the page shows no score
	Lower      float64
	Tracks     []track
}

// track is one of the two shares that a score consists of.
type track struct {
	Name string
	Good string // what a good interval is
	node.Score
}

func (p *Page) rate(f node.Farmer, now time.Time) rated {
	rules := p.records.ScoreRules()
	r := rating{}
	r.Standing, r.Suspension = f.Standing(rules, now)
	r.Lifts = r.Suspension.Lifts(rules)
	online, correct := f.Evidence.Scores(now, rules.HalfLife)
	r.Lower, r.Known = f.Score(rules, now)
	r.Tracks = []track{
		{"Online", "without a missed challenge", online},
		{"Correct", "without a wrong proof", correct},
	}
	return rated{f, r}
}

// Bound is what the node can claim about the farmer.
func (r rating) Bound() string {
	if !r.Known {
		return "–"
	}
	return "≥ " + atLeast(r.Lower)
}

// Share is the estimate. It is rounded down, so that a farmer with a bad interval never has
// 100 %.
func (t track) Share() string { return atLeast(t.Estimate) }

// From and To are the bounds of the confidence interval. They are rounded outwards, so that
// they stay true.
func (t track) From() string { return atLeast(t.Lower) }
func (t track) To() string   { return tenths(math.Ceil(1000 * t.Upper)) }

// Intervals is the number of intervals that would say as much.
func (t track) Intervals() string {
	if t.Weight < 0.95 {
		return "less than one interval"
	}
	return node.Counted(int64(math.Round(t.Weight)), "interval")
}

// atLeast formats a share as percent, rounded down.
func atLeast(share float64) string { return tenths(math.Floor(1000 * share)) }

// tenths formats a number of tenths of a percent.
func tenths(n float64) string { return strconv.FormatFloat(n/10, 'f', 1, 64) + " %" }

// uptimeOver is a farmer's uptime over its last days.
type uptimeOver struct {
	Days   int
	Uptime string
}

// uptimesOf returns the uptimes over the same days as the status API.
func uptimesOf(days []node.Day) (uptimes []uptimeOver) {
	for _, last := range []int{7, 30, 90} {
		u := uptimeOver{last, "–"}
		if uptime, known := node.UptimeOver(days, last); known {
			u.Uptime = percent(uptime)
		}
		uptimes = append(uptimes, u)
	}
	return uptimes
}

// event is an event of a farmer, in words.
type event struct {
	At        time.Time
	What, Why string
	File      string // the beginning of the file's hash; "" if the event is not about a contract
}

// fileShown is the number of hex digits of a file hash that the page shows.
const fileShown = 12

// eventWords are the words for each kind of event.
var eventWords = map[node.EventKind]event{
	node.EventCompleted: {What: "Contract completed", Why: "every challenge was answered"},
	node.EventExpired:   {What: "Contract expired", Why: "a challenge was not answered in time"},
	node.EventWrong:     {What: "Contract ended", Why: "the last challenge got only wrong proofs"},
	node.EventVoid:      {What: "Contract void", Why: "the node had a fault, so this does not count against the farmer"},
	node.EventRestored:  {What: "Contract restored", Why: "a proof had arrived in time after all"},
	node.EventSuspended: {What: "Suspended"},
	node.EventLifted:    {What: "Suspension lifted"},
}

func eventsOf(events []node.Event, faults []node.Fault, now time.Time) []event {
	shown := make([]event, len(events))
	for i, e := range events {
		words, ok := eventWords[e.Kind]
		if !ok { // a later version of the node has recorded it
			words.What = string(e.Kind)
		}
		words.At = e.At
		if e.Detail != "" {
			words.Why = e.Detail
		}
		if e.FileHash != (node.FileHash{}) {
			words.File = e.FileHash.String()[:fileShown]
		}
		at := slices.IndexFunc(faults, func(f node.Fault) bool { return f.ID == e.FaultID })
		if e.FaultID != 0 && at >= 0 {
			f := faults[at]
			words.Why = fmt.Sprintf("the node had a fault from %s, for %s, so this does not count against the farmer",
				moment(f.Start), lasted(within(f, f.Start, now)))
		}
		shown[i] = words
	}
	return shown
}

// kindCount is how often something happened.
type kindCount struct {
	What, Why string
	Times     int64
}

// kindsOf counts the endings of contracts among a farmer's last events, by their reasons.
func kindsOf(events []event) (kinds []kindCount) {
	for _, e := range events {
		if e.File == "" {
			continue
		}
		at := slices.IndexFunc(kinds, func(k kindCount) bool { return k.What == e.What && k.Why == e.Why })
		if at < 0 {
			at = len(kinds)
			kinds = append(kinds, kindCount{What: e.What, Why: e.Why})
		}
		kinds[at].Times++
	}
	return kinds
}

// until says in words how long it is from now to a time.
func until(t, now time.Time) string {
	switch d := t.Sub(now); {
	case d <= 0:
		return "now"
	case d < 2*time.Minute:
		return fmt.Sprintf("in %d seconds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("in %d minutes", int(d.Minutes()))
	default:
		return fmt.Sprintf("in %d hours", int(d.Hours()))
	}
}

// ago says in words how long before now a time was.
func ago(t, now time.Time) string {
	switch d := now.Sub(t); {
	case d < time.Minute:
		return "now"
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days ago", int(d.Hours()/24))
	}
}
