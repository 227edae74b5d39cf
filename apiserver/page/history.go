package page

import (
	"slices"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// period is how far back the plots look.
type period struct {
	Name, Title string
	Length      time.Duration
	step        time.Duration // of the spans to read
}

// periods are those to choose from; the first is shown unless asked.
var periods = []period{
	{"24h", "24 hours", 24 * time.Hour, time.Minute},
	{"7d", "7 days", 7 * 24 * time.Hour, time.Hour},
	{"30d", "30 days", 30 * 24 * time.Hour, time.Hour},
	{"1y", "1 year", 365 * 24 * time.Hour, 24 * time.Hour},
}

// periodNamed is nil where there is none of that name.
func periodNamed(name string) *period {
	i := slices.IndexFunc(periods, func(p period) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return &periods[i]
}

// mostPoints is about as many as a plot can show.
const mostPoints = 200

// timeline is spans of one length, the oldest first. The last may not be over.
type timeline struct {
	Spans []node.Span
	Step  time.Duration
}

// timelineOf puts spans together until there are few enough for a plot. What
// they are put into begins where the clock says, so that it stays the same
// while time goes on.
func timelineOf(spans []node.Span, step time.Duration) timeline {
	t := timeline{Step: step}
	if len(spans) == 0 {
		return t
	}
	covered := spans[len(spans)-1].Start.Sub(spans[0].Start)
	for _, times := range []time.Duration{1, 2, 5, 10, 30, 60} {
		t.Step = step * times
		if covered/t.Step < mostPoints {
			break
		}
	}
	for _, s := range spans {
		start := s.Start.Truncate(t.Step)
		n := len(t.Spans)
		if n == 0 && !start.Equal(s.Start) {
			continue // what is before has no beginning
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

// plots draws what the timeline holds: what there was as it was, and what came
// as a rate, of the spans that are over.
func (t timeline) plots() []plot {
	of := func(title string, unit unit, value func(node.Span) int64) plot {
		p := plot{Title: title, Unit: unit}
		for _, s := range t.Spans {
			p.add(s.Start, float64(value(s)))
		}
		return p
	}
	rate := func(title string, value func(node.Span) int64) plot {
		p := plot{Title: title, Unit: inCounts}
		for _, s := range t.Spans[:max(0, len(t.Spans)-1)] {
			p.add(s.Start, float64(value(s))/t.Step.Hours())
		}
		return p
	}
	return []plot{
		of("Farmers online", inCounts, func(s node.Span) int64 { return s.Online }),
		of("Contracts", inCounts, func(s node.Span) int64 { return s.Contracts }),
		of("Stored", inBytes, func(s node.Span) int64 { return s.Size }),
		rate("Heartbeats an hour", func(s node.Span) int64 { return s.Heartbeats }),
		rate("Wrong answers an hour", func(s node.Span) int64 { return s.Wrong }),
		rate("Contracts expired an hour", func(s node.Span) int64 { return s.Expired }),
	}
}
