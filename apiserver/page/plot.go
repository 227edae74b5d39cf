package page

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// The size of a plot and the edges of the area between its axes, in SVG units. At
// the usual width, one unit is one pixel.
const (
	plotWidth, plotHeight = 340.0, 132.0
	plotLeft, plotRight   = 46.0, 322.0
	plotTop, plotBottom   = 8.0, 108.0
)

// plot is one figure over time. The server draws it as SVG. If scripts run, the
// browser draws it again from the same points, and shows the value under the pointer.
type plot struct {
	Title string
	Unit  unit
	Bars  bool // draw one bar for each day instead of a line
	times []time.Time
	value []float64
}

func (p *plot) add(t time.Time, v float64) {
	p.times = append(p.times, t)
	p.value = append(p.value, v)
}

// Drawn reports whether there are enough points to draw.
func (p plot) Drawn() bool { return len(p.times) > 1 }

// Latest returns the newest value as text, or a dash.
func (p plot) Latest() string {
	if len(p.value) == 0 {
		return "–"
	}
	return p.Unit.format(p.value[len(p.value)-1])
}

// Summary describes the plot in words, for screen readers.
func (p plot) Summary() string {
	if !p.Drawn() {
		return p.Title + ": too little to draw yet"
	}
	least, most := slices.Min(p.value), slices.Max(p.value)
	return p.Title + " from " + moment(p.times[0]) + " to " + moment(p.times[len(p.times)-1]) +
		": between " + p.Unit.format(least) + " and " + p.Unit.format(most) + ", last " + p.Latest()
}

// Points returns the points for the scripts as JSON: a list of seconds since
// 1970 and a list of values.
func (p plot) Points() (string, error) {
	at := make([]int64, len(p.times))
	rounded := make([]float64, len(p.value))
	for i := range p.times {
		at[i] = p.times[i].Unix()
		rounded[i] = math.Round(p.value[i]*100) / 100
	}
	raw, err := json.Marshal([]any{at, rounded})
	return string(raw), err
}

// tick is a label on an axis.
type tick struct {
	At    float64
	Label string
}

// Rows returns the ticks of the value axis: zero, half the top value, the top value.
func (p plot) Rows() []tick {
	top := p.top()
	var rows []tick
	for _, share := range []float64{0, 0.5, 1} {
		rows = append(rows, tick{At: plotBottom - share*(plotBottom-plotTop), Label: p.Unit.format(share * top)})
	}
	return rows
}

// Ends returns the two labels of the time axis.
func (p plot) Ends() [2]string {
	first, last := p.times[0].UTC(), p.times[len(p.times)-1].UTC()
	form := "2 Jan"
	switch {
	case last.Sub(first) > 48*time.Hour:
	case first.YearDay() == last.YearDay():
		form = "15:04"
	default:
		form = "2 Jan, 15:04"
	}
	return [2]string{first.Format(form), last.Format(form)}
}

// top returns a round number that is not less than any value. The plot must have a
// value.
func (p plot) top() float64 {
	most := slices.Max(p.value)
	if p.Unit != inBytes {
		return roundUp(most)
	}
	scale := 1.0
	for most/scale >= 1024 {
		scale *= 1024
	}
	if round := roundUp(most / scale); round < 1000 {
		return scale * round
	}
	return scale * 1024 // 1 MiB instead of 1000 KiB
}

// roundUp returns the first of 2, 4, 10, 20, 40, 100 and so on that is not less than
// v. Half of such a number is round too.
func roundUp(v float64) float64 {
	for power := 1.0; ; power *= 10 {
		for _, step := range []float64{2, 4, 10} {
			if v <= step*power {
				return step * power
			}
		}
	}
}

func (p plot) x(i int) float64 {
	first, last := p.times[0], p.times[len(p.times)-1]
	return plotLeft + (plotRight-plotLeft)*float64(p.times[i].Sub(first))/float64(last.Sub(first))
}

func (p plot) y(i int, top float64) float64 {
	return plotBottom - (plotBottom-plotTop)*p.value[i]/top
}

// Line returns the SVG path through the values.
func (p plot) Line() string {
	top := p.top()
	points := make([]string, len(p.times))
	for i := range points {
		points[i] = decimal(p.x(i)) + " " + decimal(p.y(i, top))
	}
	return "M" + strings.Join(points, "L")
}

// Area returns the SVG path of the area below the line.
func (p plot) Area() string {
	return p.Line() + "L" + decimal(plotRight) + " " + decimal(plotBottom) + "L" + decimal(plotLeft) + " " + decimal(plotBottom) + "Z"
}

// bar is an SVG rectangle.
type bar struct{ X, Y, Width, Height string }

// BarsDrawn returns one bar for each value.
func (p plot) BarsDrawn() []bar {
	top := p.top()
	slot := (plotRight - plotLeft) / float64(len(p.value))
	bars := make([]bar, len(p.value))
	for i := range p.value {
		y := p.y(i, top)
		bars[i] = bar{decimal(plotLeft + (float64(i)+0.1)*slot), decimal(y), decimal(0.8 * slot), decimal(plotBottom - y)}
	}
	return bars
}

// decimal formats a coordinate.
func decimal(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }

// unit is the unit of a plot's values.
type unit string

const (
	inCounts unit = "counts"
	inBytes  unit = "bytes"
)

// format formats a value as a short text for an axis.
func (u unit) format(v float64) string {
	if u == inBytes {
		return size(int64(v))
	}
	return short(v)
}

// short formats a count in few characters: 950, 1.2k, 34k, 5.6M.
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

// trimmed formats v with at most one decimal. From 10 it rounds v down to a whole
// number.
func trimmed(v float64) string {
	if v < 10 {
		v = math.Round(v*10) / 10
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return strconv.FormatFloat(math.Floor(v), 'f', 0, 64)
}

// grouped formats a count in full: 1,234,567.
func grouped(n int64) string { return humanize.Comma(n) }

func size(n int64) string { return humanize.IBytes(uint64(max(0, n))) }

func percent(p float64) string { return strconv.FormatFloat(p, 'f', 2, 64) + " %" }

// moment formats a time for people. The node shows all times in UTC.
func moment(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04 UTC") }

func clock(t time.Time) string { return t.UTC().Format("15:04:05 UTC") }

func date(t time.Time) string { return t.UTC().Format("2 Jan 2006") }

// machine formats a time for the datetime attribute of <time>.
func machine(t time.Time) string { return t.UTC().Format(time.RFC3339) }
