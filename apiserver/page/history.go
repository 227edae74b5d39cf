package page

import (
	"context"
	"fmt"
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

// past is what the records say about a period.
type past struct {
	timeline
	day  []node.Span // of the period of 24 hours: each minute of it
	days lastDays    // of the same period
}

// readPast reads a period. For the first period it also reads the day before.
func (p *Page) readPast(ctx context.Context, of *period) (past, error) {
	now := p.opt.Now()
	from := now.Add(-of.Length)
	if of != &periods[0] {
		spans, err := p.records.History(ctx, from, now, of.step)
		return past{timeline: timelineOf(spans, of.step)}, err
	}
	before := from.Add(-of.Length)
	spans, err := p.records.History(ctx, before, now, of.step)
	at := slices.IndexFunc(spans, func(s node.Span) bool { return !s.Start.Before(from.Truncate(of.step)) })
	if err != nil || at < 0 {
		return past{timeline: timelineOf(nil, of.step)}, err
	}
	return past{
		timeline: timelineOf(spans[at:], of.step), day: spans[at:],
		days: lastDays{countsOf(spans[at:], from), countsOf(spans[:at], before)},
	}, nil
}

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
	for _, times := range []time.Duration{1, 2, 3, 6, 10, 30, 60} {
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

// endingWith returns the timeline with the farmers, contracts and bytes of now in the last span, so
// that it agrees with the totals of the page. The record is a little behind them.
func (t timeline) endingWith(now node.Totals) timeline {
	t.Spans = slices.Clone(t.Spans)
	if len(t.Spans) > 0 {
		last := &t.Spans[len(t.Spans)-1]
		last.Farmers, last.Online, last.Contracts, last.Size = now.Farmers, now.Online, now.Contracts, now.Size
	}
	return t
}

// plots makes the plots of the period until now. A level, such as the farmers online, is at the end
// of its span. Events are counted in each span; the last span has not ended, so it is left out.
func (t timeline) plots(of *period, now time.Time) (plots []plot) {
	each := " in " + spanWords(t.Step)
	for _, c := range []struct {
		title  string
		unit   unit
		events bool
		bad    bool
		value  func(node.Span) int64
	}{
		{"Farmers online", inCounts, false, false, func(s node.Span) int64 { return s.Online }},
		{"Contracts", inCounts, false, false, func(s node.Span) int64 { return s.Contracts }},
		{"Stored", inBytes, false, false, func(s node.Span) int64 { return s.Size }},
		{"Right proofs" + each, inCounts, true, false, func(s node.Span) int64 { return s.Heartbeats }},
		{"Wrong proofs" + each, inCounts, true, true, func(s node.Span) int64 { return s.Wrong }},
		{"Contracts lost" + each, inCounts, true, true, func(s node.Span) int64 { return s.Expired }},
	} {
		p := plot{Title: c.title, Unit: c.unit, Bad: c.bad, From: now.Add(-of.Length), To: now}
		spans, shift := t.Spans, t.Step
		if c.events {
			spans, shift = spans[:max(0, len(spans)-1)], 0
		}
		for _, s := range spans {
			at := s.Start.Add(shift)
			if at.After(now) {
				at = now
			}
			p.add(at, float64(c.value(s)))
		}
		plots = append(plots, p)
	}
	return plots
}

// spanWords writes the length of a span in words: 10 minutes, an hour.
func spanWords(d time.Duration) string {
	for _, u := range []struct {
		length    time.Duration
		one, many string
	}{{24 * time.Hour, "a day", "days"}, {time.Hour, "an hour", "hours"}} {
		if d == u.length {
			return u.one
		}
		if d%u.length == 0 {
			return fmt.Sprintf("%d %s", d/u.length, u.many)
		}
	}
	if d == time.Minute {
		return "a minute"
	}
	return fmt.Sprintf("%d minutes", d/time.Minute)
}

// stripLength is the number of days in a farmer's uptime strip.
const stripLength = 90

// stripDay is one day in a farmer's uptime strip.
type stripDay struct {
	X, Y  float64 // the upper left corner of the bar; a higher bar is a better day
	Level string  // the CSS class for the day's uptime
	Title string
	Fault bool // the node had a fault
}

// stripStep is the width of a day, and stripHeight the height of the strip, in SVG units.
const stripStep, stripHeight = 10.0, 40.0

// stripTops is where the bar of each level begins, so that people who see no colours can tell the levels apart.
var stripTops = map[string]float64{"good": 0, "fair": 12, "poor": 24, "out": 36, "none": 38}

// Height is the height of the bar.
func (d stripDay) Height() float64 { return stripHeight - d.Y }

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
		strip[i] = stripDay{X: float64(i) * stripStep, Y: stripTops["none"], Level: "none", Title: date(at) + ": no record"}
		switch {
		case known && d.Possible == 0:
			strip[i].Title = date(at) + ": not counted"
		case known:
			strip[i].Level, strip[i].Title = level(d.Uptime()), date(at)+": "+percent(d.Uptime())
			strip[i].Y = stripTops[strip[i].Level]
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
			p.From, p.To = days[0].Start, d.Start
		}
		return p
	}
	return []plot{
		of("Right proofs in a day", inCounts, true, func(d node.Day) int64 { return d.Heartbeats }),
		of("Wrong proofs in a day", inCounts, true, func(d node.Day) int64 { return d.Wrong }),
		of("Contracts", inCounts, false, func(d node.Day) int64 { return d.Contracts }),
		of("Stored", inBytes, false, func(d node.Day) int64 { return d.Size }),
	}
}
