package page

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

const (
	// maxFaults is the maximum number of faults that the page reads, the latest first.
	maxFaults = 1000
	// faultsListed is the maximum number of faults that the front page lists in words.
	faultsListed = 10
)

// nodeFaults are the faults of the node, the latest first, and its maintenances, the first
// one first.
type nodeFaults struct{ Recorded, Planned []node.Fault }

func (p *Page) readFaults(ctx context.Context) (f nodeFaults, err error) {
	if f.Recorded, err = p.records.Faults(ctx, maxFaults); err == nil {
		f.Planned, err = p.records.Maintenances(ctx)
	}
	return f, err
}

// notices are what a page says about faults at its top.
type notices struct {
	Fault   *node.Fault  // the open fault of the node, or nil
	Planned []node.Fault // the maintenances that have not begun
}

func (f nodeFaults) notices(now time.Time) (n notices) {
	if i := slices.IndexFunc(f.Recorded, func(f node.Fault) bool { return f.End.IsZero() }); i >= 0 {
		n.Fault = &f.Recorded[i]
	}
	for _, m := range f.Planned {
		if m.Start.After(now) {
			n.Planned = append(n.Planned, m)
		}
	}
	return n
}

// within returns the part of a fault between two times. It is 0 if the node only suspects the fault.
func within(f node.Fault, from, to time.Time) time.Duration {
	if f.Suspected() {
		return 0
	}
	if f.Start.After(from) {
		from = f.Start
	}
	if !f.End.IsZero() && f.End.Before(to) {
		to = f.End
	}
	return max(0, to.Sub(from))
}

// availability is the part of a time in which the node had no fault.
type availability struct {
	From    time.Time
	Percent float64
	Faults  []shownFault // the latest first
	Listed  []shownFault // the first of Faults
}

// shownFault is a fault in the availability strip.
type shownFault struct {
	node.Fault
	Lasted   string
	X, Width float64
}

// bandWidth is the width of the availability strip, in SVG units. The narrowest fault has
// the width leastWidth, so that people see it.
const bandWidth, leastWidth = 900.0, 3.0

// availabilityOf returns the node's availability between two times.
func availabilityOf(faults []node.Fault, from, now time.Time) *availability {
	a := &availability{From: from}
	length := now.Sub(from)
	if length <= 0 {
		return nil
	}
	var away time.Duration
	for _, f := range faults {
		part := within(f, from, now)
		if part == 0 {
			continue
		}
		away += part
		width := max(leastWidth, bandWidth*float64(part)/float64(length))
		x := bandWidth * float64(max(0, f.Start.Sub(from))) / float64(length)
		a.Faults = append(a.Faults, shownFault{f, lasted(part), min(x, bandWidth-width), width})
	}
	// Rounded down, so that no time with a fault has 100 %.
	a.Percent = math.Floor(1e4*(1-float64(away)/float64(length))) / 100
	a.Listed = a.Faults[:min(len(a.Faults), faultsListed)]
	return a
}

// farmerDay is a day of a farmer.
type farmerDay struct {
	node.Day
	Fault time.Duration // how long the node had a fault
}

// withFaults adds the node's faults to days.
func withFaults(days []node.Day, faults []node.Fault, now time.Time) []farmerDay {
	all := make([]farmerDay, len(days))
	for i, d := range days {
		all[i].Day = d
		end := d.Start.AddDate(0, 0, 1)
		if end.After(now) {
			end = now
		}
		for _, f := range faults {
			all[i].Fault += within(f, d.Start, end)
		}
	}
	return all
}

// lasted formats the length of a fault for people.
func lasted(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	}
	return fmt.Sprintf("%d h", int(math.Round(d.Hours())))
}
