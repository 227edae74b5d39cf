package page

import (
	"math"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"
)

// unit is what a plot's values are.
type unit string

const (
	inCounts  unit = "counts"
	inBytes   unit = "bytes"
	inPercent unit = "percent"
)

// say writes a value of the unit, short enough for an axis.
func (u unit) say(v float64) string {
	switch u {
	case inBytes:
		return humanize.IBytes(uint64(max(0, v)))
	case inPercent:
		return strconv.FormatFloat(v, 'f', -1, 64) + " %"
	default:
		return short(v)
	}
}

// short writes a count in few characters: 950, 1.2k, 34k, 5.6M.
func short(v float64) string {
	for _, scale := range []struct {
		at   float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= scale.at {
			return trimmed(v/scale.at) + scale.name
		}
	}
	return trimmed(v)
}

// trimmed is v with a decimal where it has fewer than two digits before it.
func trimmed(v float64) string {
	if v < 10 {
		v = math.Round(v*10) / 10
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return strconv.FormatFloat(math.Floor(v), 'f', 0, 64)
}

// grouped writes a count in full: 1,234,567.
func grouped(n int64) string { return humanize.Comma(n) }

func size(n int64) string { return humanize.IBytes(uint64(max(0, n))) }

func percent(p float64) string { return strconv.FormatFloat(p, 'f', 2, 64) + " %" }

// moment writes a time for people, in UTC like everything of the node.
func moment(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04 UTC") }

func clock(t time.Time) string { return t.UTC().Format("15:04:05 UTC") }

func date(t time.Time) string { return t.UTC().Format("2 Jan 2006") }

// machine writes a time for <time datetime>.
func machine(t time.Time) string { return t.UTC().Format(time.RFC3339) }
