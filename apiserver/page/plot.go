package page

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

// The drawing's measures, in units that are pixels at its usual width.
const (
	plotWidth, plotHeight = 340.0, 132.0
	plotLeft, plotRight   = 46.0, 322.0 // of the drawing, where the values are
	plotTop, plotBottom   = 8.0, 108.0
)

// plot is one figure over time. The server draws it; scripts draw it again, to
// be read with a pointer, from the same points.
type plot struct {
	Title string
	Unit  unit
	Bars  bool // a bar a day, in place of a line
	times []time.Time
	value []float64
}

func (p *plot) add(t time.Time, v float64) {
	p.times = append(p.times, t)
	p.value = append(p.value, v)
}

// Drawn says whether there is enough for a drawing.
func (p plot) Drawn() bool { return len(p.times) > 1 }

// Latest is the newest value in words, or a dash.
func (p plot) Latest() string {
	if len(p.value) == 0 {
		return "–"
	}
	return p.Unit.say(p.value[len(p.value)-1])
}

// Summary says in words what the drawing shows.
func (p plot) Summary() string {
	if !p.Drawn() {
		return p.Title + ": too little to draw yet"
	}
	least, most := p.value[0], p.value[0]
	for _, v := range p.value {
		least, most = min(least, v), max(most, v)
	}
	return p.Title + " from " + moment(p.times[0]) + " to " + moment(p.times[len(p.times)-1]) +
		": between " + p.Unit.say(least) + " and " + p.Unit.say(most) + ", last " + p.Latest()
}

// Points are the values for the scripts: seconds since 1970, and values.
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

// tick is a mark on an axis.
type tick struct {
	At    float64
	Label string
}

// Rows are the marks of the values' axis: nothing, half and all.
func (p plot) Rows() []tick {
	top := p.top()
	var rows []tick
	for _, share := range []float64{0, 0.5, 1} {
		rows = append(rows, tick{At: plotBottom - share*(plotBottom-plotTop), Label: p.Unit.say(share * top)})
	}
	return rows
}

// Ends are the marks of the axis of time.
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

// top is a round value that no value is above.
func (p plot) top() float64 {
	most := 0.0
	for _, v := range p.value {
		most = max(most, v)
	}
	switch p.Unit {
	case inPercent:
		return 100
	case inBytes:
		scale := 1.0
		for most/scale >= 1024 {
			scale *= 1024
		}
		if round := roundUp(most / scale); round < 1000 {
			return scale * round
		}
		return scale * 1024 // 1000 KiB is longer, and not round
	}
	return roundUp(most)
}

// roundUp is the next of 2, 4, 10, 20, 40, 100 and so on: halves of them are
// round too.
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

// Line is the way through the values, as SVG writes ways.
func (p plot) Line() string {
	top := p.top()
	var b strings.Builder
	for i := range p.times {
		if i == 0 {
			b.WriteByte('M')
		} else {
			b.WriteByte('L')
		}
		b.WriteString(decimal(p.x(i)) + " " + decimal(p.y(i, top)))
	}
	return b.String()
}

// Area is what lies below the line.
func (p plot) Area() string {
	return p.Line() + "L" + decimal(plotRight) + " " + decimal(plotBottom) + "L" + decimal(plotLeft) + " " + decimal(plotBottom) + "Z"
}

// bar is a rectangle that stands on the axis.
type bar struct{ X, Y, Width, Height string }

// BarsDrawn are the values as bars, each with a little room beside it.
func (p plot) BarsDrawn() []bar {
	top := p.top()
	room := (plotRight - plotLeft) / float64(len(p.value))
	bars := make([]bar, len(p.value))
	for i := range p.value {
		y := p.y(i, top)
		bars[i] = bar{decimal(plotLeft + (float64(i)+0.1)*room), decimal(y), decimal(0.8 * room), decimal(plotBottom - y)}
	}
	return bars
}

// decimal writes a coordinate.
func decimal(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }
