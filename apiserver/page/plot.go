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
	plotLeft, plotRight   = 52.0, 322.0
	plotTop, plotBottom   = 8.0, 108.0
)

// plot is one figure over time. The server draws it as SVG. If scripts run, the
// browser draws it again from the same points, and shows the value under the pointer.
type plot struct {
	Title string
	Unit  unit
	Bars  bool // draw one bar for each day instead of a line
	Bad   bool // a high value is bad, so the plot has another colour

	From, To time.Time // the ends of the time axis

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

// tick is a label on the value axis.
type tick struct {
	At    float64
	Label string
}

// Rows returns the ticks of the value axis, from 0 up.
func (p plot) Rows() (rows []tick) {
	values := p.steps()
	for _, v := range values {
		rows = append(rows, tick{plotBottom - (plotBottom-plotTop)*v/values[len(values)-1], p.Unit.label(v)})
	}
	return rows
}

// Ticks returns the values of the ticks and their labels, for the scripts as JSON.
func (p plot) Ticks() (string, error) {
	values := p.steps()
	labels := make([]string, len(values))
	for i, v := range values {
		labels[i] = p.Unit.label(v)
	}
	raw, err := json.Marshal([]any{values, labels})
	return string(raw), err
}

// Ends returns the two labels of the time axis.
func (p plot) Ends() [2]string {
	first, last := p.From.UTC(), p.To.UTC()
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

// steps returns the values of the ticks: whole steps from 0 to the first one that is not less
// than any value. There are at most 5 steps. A step is 1, 2, 2.5 or 5 times a power of ten; for bytes, times
// 1 KiB, 1 MiB and so on. The plot must have a value.
func (p plot) steps() []float64 {
	most, scale := slices.Max(p.value), 1.0
	if p.Unit == inBytes {
		for most/scale >= 1000 {
			scale *= 1024
		}
	}
	step := scale * roundStep(most/scale/5, scale > 1)
	values := []float64{0, step}
	for values[len(values)-1] < most {
		values = append(values, step*float64(len(values)))
	}
	return values
}

// roundStep returns the first of 1, 2, 5, 10, 20, 25, 50, 100 and so on that is not less than v. With
// fractions, 0.25, 0.5 and 2.5 are also such steps.
func roundStep(v float64, fractions bool) float64 {
	for power := 0.1; ; power *= 10 {
		for _, step := range []float64{1, 2, 2.5, 5} {
			step = math.Round(100*power*step) / 100
			whole := step == math.Floor(step)
			if v <= step && (whole || fractions && step != 0.1 && step != 0.2) {
				return step
			}
		}
	}
}

func (p plot) x(i int) float64 {
	return plotLeft + (plotRight-plotLeft)*float64(p.times[i].Sub(p.From))/float64(p.To.Sub(p.From))
}

func (p plot) top() float64 {
	steps := p.steps()
	return steps[len(steps)-1]
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
	return p.Line() + "L" + decimal(p.x(len(p.times)-1)) + " " + decimal(plotBottom) + "L" + decimal(p.x(0)) + " " + decimal(plotBottom) + "Z"
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

// format formats a value exactly, and bytes in a few digits.
func (u unit) format(v float64) string {
	if u == inBytes {
		return size(int64(v))
	}
	return grouped(int64(v))
}

// label formats the value of a tick. A tick has few digits, so its label is exact.
func (u unit) label(v float64) string {
	base, names := 1000.0, []string{"", "k", "M", "G", "T"}
	if u == inBytes {
		base, names = 1024, []string{" B", " KiB", " MiB", " GiB", " TiB", " PiB"}
	}
	i := 0
	for ; v >= base && i < len(names)-1; i++ {
		v /= base
	}
	return strconv.FormatFloat(v, 'g', 6, 64) + names[i]
}

// short formats a count in few characters, rounded down: 950, 1.2k, 34k, 5.6M.
func short(n int64) string {
	v, i := float64(n), 0
	for ; v >= 1000; i++ {
		v /= 1000
	}
	if v >= 10 {
		v = math.Floor(v)
	}
	return strconv.FormatFloat(math.Floor(10*v)/10, 'f', -1, 64) + []string{"", "k", "M", "G", "T", "P", "E"}[i]
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
