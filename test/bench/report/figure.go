// Package report turns measurements into figures, prints them as a table, and
// writes the table into the program's section of docs/benchmarks.md.
//
// A figure is the median of its repetitions. It also shows the smallest and the
// largest repetition. If something limits a figure on the same machine, the limit
// is measured in the same run and is shown beside the figure.
package report

import (
	"slices"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
)

// Figure is one line of a table.
type Figure struct {
	Name    string
	Unit    string
	Samples []float64 // results of the repetitions, in Unit

	// Limit names what limits the figure, with the value of the limit. It is empty
	// if there is no limit.
	Limit string
	// Ratio is the figure divided by the limit. It is 0 if there is no limit.
	Ratio float64
	// Targets are the values that the project wants to reach.
	Targets []Target
}

// Target is a value that the project wants to reach.
type Target struct {
	Text string // such as "≥ 0.4 of the limit"
	Met  bool
}

// New makes a figure from its repetitions.
func New(name, unit string, samples ...float64) Figure {
	return Figure{Name: name, Unit: unit, Samples: samples}
}

// Median returns the middle sample. If the number of samples is even, it returns
// the mean of the two middle samples.
func (f Figure) Median() float64 {
	sorted := slices.Sorted(slices.Values(f.Samples))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Against compares the figure with a limit.
func (f Figure) Against(limit Figure) Figure {
	if len(f.Samples) == 0 || len(limit.Samples) == 0 {
		return f
	}
	f.Limit = limit.Name + ": " + limit.value()
	f.Ratio = f.Median() / limit.Median()
	return f
}

// AtLeast sets the smallest median that the project wants.
func (f Figure) AtLeast(want float64) Figure {
	return f.want("≥ "+Number(want)+" "+f.Unit, f.Median() >= want)
}

// AtMost sets the largest median that the project wants.
func (f Figure) AtMost(want float64) Figure {
	return f.want("≤ "+Number(want)+" "+f.Unit, f.Median() <= want)
}

// RatioAtLeast sets the smallest ratio that the project wants.
func (f Figure) RatioAtLeast(want float64) Figure {
	return f.want("ratio ≥ "+Number(want), f.Ratio >= want)
}

// RatioAtMost sets the largest ratio that the project wants.
func (f Figure) RatioAtMost(want float64) Figure {
	return f.want("ratio ≤ "+Number(want), f.Ratio > 0 && f.Ratio <= want)
}

func (f Figure) want(text string, met bool) Figure {
	f.Targets = append(slices.Clone(f.Targets), Target{text, met && len(f.Samples) > 0})
	return f
}

func (f Figure) value() string {
	if len(f.Samples) == 0 {
		return "not measured"
	}
	return Number(f.Median()) + " " + f.Unit
}

// spread returns the smallest and the largest repetition.
func (f Figure) spread() string {
	if len(f.Samples) < 2 {
		return ""
	}
	return Number(slices.Min(f.Samples)) + " – " + Number(slices.Max(f.Samples))
}

func (f Figure) ratio() string {
	if f.Ratio == 0 {
		return ""
	}
	return Number(f.Ratio)
}

// targets lists the targets, and says for each target whether the figure meets it.
func (f Figure) targets() string {
	texts := make([]string, len(f.Targets))
	for i, t := range f.Targets {
		texts[i] = t.Text + ": met"
		if !t.Met {
			texts[i] = t.Text + ": NOT met"
		}
	}
	return strings.Join(texts, "; ")
}

// Number formats x with three significant digits, and with all digits before the
// decimal point. It omits zeros at the end of the decimals.
func Number(x float64) string {
	decimals := 3
	switch {
	case x >= 1000:
		return humanize.Comma(int64(x + 0.5))
	case x >= 100:
		decimals = 0
	case x >= 10:
		decimals = 1
	case x >= 1:
		decimals = 2
	}
	text := strconv.FormatFloat(x, 'f', decimals, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}
