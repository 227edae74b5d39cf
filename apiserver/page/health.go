package page

import (
	"fmt"
	"math"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// The page says that not all is well if the node has a fault, or if one of these limits is
// exceeded.
const (
	// wrongLimit is the largest share of wrong proofs in 24 hours.
	wrongLimit = 0.01
	// lostLimit is the largest share of the contracts that were lost in 24 hours.
	lostLimit = 0.1
	// leftLimit is the smallest share of the farmers that are still online, of the most that were
	// online in 24 hours. It applies from leftFrom farmers on.
	leftLimit, leftFrom = 0.75, 10
)

// dayCounts are the events of 24 hours.
type dayCounts struct {
	Right, Wrong, Lost int64
	Known              bool // the record has all of the 24 hours
}

func countsOf(spans []node.Span, from time.Time) (c dayCounts) {
	for _, s := range spans {
		c.Right, c.Wrong, c.Lost = c.Right+s.Heartbeats, c.Wrong+s.Wrong, c.Lost+s.Expired
	}
	c.Known = len(spans) > 0 && !spans[0].Start.After(from.Add(time.Minute))
	return c
}

// Proofs is the number of proofs with a verdict.
func (c dayCounts) Proofs() int64 { return c.Right + c.Wrong }

// Success is the share of right proofs in percent, rounded down, so that it is never 100 if there was a wrong one.
func (c dayCounts) Success() float64 {
	return math.Floor(1e4*float64(c.Right)/float64(max(1, c.Proofs()))) / 100
}

// lastDays are the last 24 hours and the 24 hours before them.
type lastDays struct{ Today, Before dayCounts }

// SuccessChange compares the share of right proofs with the day before, or returns "".
func (d lastDays) SuccessChange() string {
	if !d.Before.Known || d.Before.Proofs() == 0 || d.Today.Proofs() == 0 {
		return ""
	}
	change := math.Round(100*(d.Today.Success()-d.Before.Success())) / 100
	if change == 0 {
		return "as the day before"
	}
	return fmt.Sprintf("%+.2f points since the day before", change)
}

// LostChange compares the lost contracts with the day before, or returns "".
func (d lastDays) LostChange() string {
	switch change := d.Today.Lost - d.Before.Lost; {
	case !d.Before.Known:
		return ""
	case change > 0:
		return grouped(change) + " more than the day before"
	case change < 0:
		return grouped(-change) + " fewer than the day before"
	default:
		return "as the day before"
	}
}

// problem is something that is not well.
type problem struct {
	Text  string
	Since time.Time // zero if it is not known
}

// health answers whether all is well.
type health struct {
	Problems []problem
	Summary  string
}

// Text is the health in one line.
func (h health) Text() string {
	if len(h.Problems) == 0 {
		return "All well: " + h.Summary
	}
	text := h.Problems[0].Text
	if since := h.Problems[0].Since; !since.IsZero() {
		text += " since " + moment(since)
	}
	return "Not all is well: " + text + ". " + h.Summary
}

// healthOf judges the node. day is the history of the last 24 hours.
func healthOf(t node.Totals, days lastDays, day []node.Span, open *node.Fault) (h health) {
	h.Summary = grouped(t.Online) + " of " + grouped(t.Farmers) + " farmers online"
	if t.Farmers > 0 {
		h.Summary += fmt.Sprintf(" (%d %%)", 100*t.Online/t.Farmers)
	}
	if days.Today.Proofs() > 0 {
		h.Summary += ", " + percent(days.Today.Success()) + " of proofs right in 24 h"
	}
	add := func(text string, since time.Time) { h.Problems = append(h.Problems, problem{text, since}) }
	switch {
	case open == nil, open.Suspected(): // the page has a notice about a suspicion
	case open.Planned.IsZero():
		add("the node has had a fault", open.Start)
	default:
		add("the node has been in maintenance", open.Start)
	}
	today := days.Today
	if float64(today.Wrong) > wrongLimit*float64(today.Proofs()) {
		add("many proofs are wrong ("+percent(100-today.Success())+" in 24 h)", firstSpan(day, func(s node.Span) bool {
			return float64(s.Wrong) > wrongLimit*float64(s.Heartbeats+s.Wrong)
		}))
	}
	if float64(today.Lost) > lostLimit*float64(today.Lost+t.Contracts) {
		add("many contracts are lost ("+grouped(today.Lost)+" in 24 h)", firstSpan(day, func(s node.Span) bool { return s.Expired > 0 }))
	}
	var most int64
	for _, s := range day {
		most = max(most, s.Online)
	}
	few := func(online int64) bool { return float64(online) < leftLimit*float64(most) }
	switch {
	case t.Farmers > 0 && t.Online == 0:
		add("no farmer has been online", lastChange(day, func(online int64) bool { return online == 0 }))
	case most >= leftFrom && few(t.Online):
		add("only "+grouped(t.Online)+" of "+grouped(most)+" farmers have stayed online", lastChange(day, few))
	}
	return h
}

// firstSpan returns the start of the first span for which is holds.
func firstSpan(spans []node.Span, is func(node.Span) bool) time.Time {
	for _, s := range spans {
		if is(s) {
			return s.Start
		}
	}
	return time.Time{}
}

// lastChange returns since when is has held for the farmers online, or zero if it did not hold at
// the end of spans.
func lastChange(spans []node.Span, is func(online int64) bool) (since time.Time) {
	for i := len(spans) - 1; i >= 0 && is(spans[i].Online); i-- {
		since = spans[i].Start
	}
	return since
}
