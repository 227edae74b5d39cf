package page

import (
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// stripLength is how many days a farmer's strip shows.
const stripLength = 90

// stripDay is a day's mark in a farmer's strip of uptime.
type stripDay struct {
	X     float64
	Level string // a class: how good the day was
	Title string
}

// The strip's measures, in units that are pixels at its usual width.
const stripStep = 10.0

// stripOf marks the last days up to now. A day that is not in the history is
// one before the farmer came.
func stripOf(days []node.Day, now time.Time) []stripDay {
	byDate := map[string]node.Day{}
	for _, d := range days {
		byDate[d.Start.UTC().Format(time.DateOnly)] = d
	}
	strip := make([]stripDay, stripLength)
	for i := range strip {
		at := now.UTC().AddDate(0, 0, i+1-stripLength)
		d, known := byDate[at.Format(time.DateOnly)]
		strip[i] = stripDay{X: float64(i) * stripStep, Level: "none", Title: date(at) + ": no record"}
		if known {
			strip[i].Level, strip[i].Title = level(d.Uptime()), date(at)+": "+percent(d.Uptime())
		}
	}
	return strip
}

// level is what a day's uptime is called in the style sheet.
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

// farmerPlots are a farmer's figures by day.
func farmerPlots(days []node.Day) []plot {
	of := func(title string, unit unit, bars bool, value func(node.Day) int64) plot {
		p := plot{Title: title, Unit: unit, Bars: bars}
		for _, d := range days {
			p.add(d.Start, float64(value(d)))
		}
		return p
	}
	return []plot{
		of("Heartbeats a day", inCounts, true, func(d node.Day) int64 { return d.Heartbeats }),
		of("Contracts", inCounts, false, func(d node.Day) int64 { return d.Contracts }),
		of("Stored", inBytes, false, func(d node.Day) int64 { return d.Size }),
	}
}
