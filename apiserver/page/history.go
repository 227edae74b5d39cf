package page

import (
	"slices"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// period is a time range of the plots.
type period struct {
	Name, Title string
	Length      time.Duration
	step        time.Duration // the length of each span that is read
}

// periods are the ranges that a visitor can choose. The first is the default.
var periods = []period{
	{"24h", "24 hours", 24 * time.Hour, time.Minute},
	{"7d", "7 days", 7 * 24 * time.Hour, time.Hour},
	{"30d", "30 days", 30 * 24 * time.Hour, time.Hour},
	{"1y", "1 year", 365 * 24 * time.Hour, 24 * time.Hour},
}

// periodNamed returns the period with a name, or the default if there is none.
func periodNamed(name string) *period {
	return &periods[max(0, slices.IndexFunc(periods, func(p period) bool { return p.Name == name }))]
}

// maxPoints is the approximate maximum number of points in a plot.
const maxPoints = 200

// timeline holds spans of the same length, the oldest first. The last span may be
// incomplete.
type timeline struct {
	Spans []node.Span
	Step  time.Duration
}

// timelineOf merges neighbouring spans if there are too many for a plot. A merged
// span begins at a multiple of its length, so that every read makes the same spans.
func timelineOf(spans []node.Span, step time.Duration) timeline {
	t := timeline{Step: step}
	if len(spans) == 0 {
		return t
	}
	covered := spans[len(spans)-1].Start.Sub(spans[0].Start)
	for _, times := range []time.Duration{1, 2, 5, 10, 30, 60} {
		t.Step = step * times
		if covered/t.Step < maxPoints {
			break
		}
	}
	for _, s := range spans {
		start := s.Start.Truncate(t.Step)
		n := len(t.Spans)
		if n == 0 && !start.Equal(s.Start) {
			continue // the first merged span would be incomplete
		}
		if n == 0 || !t.Spans[n-1].Start.Equal(start) {
			s.Start = start
			t.Spans = append(t.Spans, s)
			continue
		}
		before := t.Spans[n-1]
		s.Start = start
		s.Heartbeats += before.Heartbeats
		s.Wrong += before.Wrong
		s.Expired += before.Expired
		t.Spans[n-1] = s
	}
	return t
}

// plots makes the plots of the timeline. A count at one moment, such as the farmers
// online, is shown unchanged. A count of events is shown as a rate per hour. The
// rates leave out the last span, because it may be incomplete.
func (t timeline) plots() (plots []plot) {
	for _, c := range []struct {
		title string
		unit  unit
		rate  bool
		value func(node.Span) int64
	}{
		{"Farmers online", inCounts, false, func(s node.Span) int64 { return s.Online }},
		{"Contracts", inCounts, false, func(s node.Span) int64 { return s.Contracts }},
		{"Stored", inBytes, false, func(s node.Span) int64 { return s.Size }},
		{"Heartbeats per hour", inCounts, true, func(s node.Span) int64 { return s.Heartbeats }},
		{"Wrong answers per hour", inCounts, true, func(s node.Span) int64 { return s.Wrong }},
		{"Expired contracts per hour", inCounts, true, func(s node.Span) int64 { return s.Expired }},
	} {
		p := plot{Title: c.title, Unit: c.unit}
		spans, scale := t.Spans, 1.0
		if c.rate {
			spans, scale = spans[:max(0, len(spans)-1)], t.Step.Hours()
		}
		for _, s := range spans {
			p.add(s.Start, float64(c.value(s))/scale)
		}
		plots = append(plots, p)
	}
	return plots
}

// stripLength is the number of days in a farmer's uptime strip.
const stripLength = 90

// stripDay is one day in a farmer's uptime strip.
type stripDay struct {
	X     float64
	Level string // the CSS class for the day's uptime
	Title string
	Fault bool // the node had a fault
}

// stripStep is the width of a day, in SVG units.
const stripStep = 10.0

// stripOf returns the last stripLength days, including today. A day without a
// record, or without time that counts, has the level "none".
func stripOf(days []farmerDay, now time.Time) []stripDay {
	byDate := map[string]farmerDay{}
	for _, d := range days {
		byDate[d.Start.UTC().Format(time.DateOnly)] = d
	}
	strip := make([]stripDay, stripLength)
	for i := range strip {
		at := now.UTC().AddDate(0, 0, i+1-stripLength)
		d, known := byDate[at.Format(time.DateOnly)]
		strip[i] = stripDay{X: float64(i) * stripStep, Level: "none", Title: date(at) + ": no record"}
		switch {
		case known && d.Possible == 0:
			strip[i].Title = date(at) + ": not counted"
		case known:
			strip[i].Level, strip[i].Title = level(d.Uptime()), date(at)+": "+percent(d.Uptime())
		}
		if d.Fault > 0 {
			strip[i].Fault = true
			strip[i].Title += "; the node had a fault for " + lasted(d.Fault)
		}
	}
	return strip
}

// level returns the CSS class of a day's uptime in percent.
func level(uptime float64) string {
	switch {
	case uptime >= 99:
		return "good"
	case uptime >= 90:
		return "fair"
	case uptime > 0:
		return "poor"
	default:
		return "out"
	}
}

// farmerPlots makes the plots of a farmer's daily figures.
func farmerPlots(days []node.Day) []plot {
	of := func(title string, unit unit, bars bool, value func(node.Day) int64) plot {
		p := plot{Title: title, Unit: unit, Bars: bars}
		for _, d := range days {
			p.add(d.Start, float64(value(d)))
		}
		return p
	}
	return []plot{
		of("Heartbeats per day", inCounts, true, func(d node.Day) int64 { return d.Heartbeats }),
		of("Contracts", inCounts, false, func(d node.Day) int64 { return d.Contracts }),
		of("Stored", inBytes, false, func(d node.Day) int64 { return d.Size }),
	}
}
