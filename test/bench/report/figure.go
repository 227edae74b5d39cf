// Package report turns measurements into figures, a table of them, and the
// section of docs/benchmarks.md that belongs to the program that measured.
//
// A figure is the median of repetitions, and shows the least and the most of
// them. Where something bounds it on the same machine, that was measured in the
// same run and stands beside it.
package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Figure is one line of a table.
type Figure struct {
	Name    string
	Unit    string
	Samples []float64 // of the repetitions, in Unit

	// Limit names what bounds the figure here, or what it is held against,
	// with a value of its own; empty where nothing does.
	Limit string
	// Ratio is the figure's to the limit's; 0 without a limit.
	Ratio float64
	// Targets are what is wanted of it.
	Targets []Target
}

// Target is something wanted of a figure.
type Target struct {
	Text string // such as "≥ 0.4 of the limit"
	Met  bool
}

// New makes a figure of its repetitions.
func New(name, unit string, samples ...float64) Figure {
	return Figure{Name: name, Unit: unit, Samples: samples}
}

// Median is the middle one of the samples, or the mean of the middle two.
func (f Figure) Median() float64 {
	sorted := slices.Sorted(slices.Values(f.Samples))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Against holds the figure against a limit.
func (f Figure) Against(limit Figure) Figure {
	if len(f.Samples) == 0 || len(limit.Samples) == 0 {
		return f
	}
	f.Limit = limit.Name + ": " + limit.value()
	f.Ratio = f.Median() / limit.Median()
	return f
}

// AtLeast wants the median to be so much or more.
func (f Figure) AtLeast(want float64) Figure {
	return f.want("≥ "+Number(want)+" "+f.Unit, f.Median() >= want)
}

// AtMost wants the median to be so much or less.
func (f Figure) AtMost(want float64) Figure {
	return f.want("≤ "+Number(want)+" "+f.Unit, f.Median() <= want)
}

// RatioAtLeast wants so much of the limit or more.
func (f Figure) RatioAtLeast(want float64) Figure {
	return f.want("ratio ≥ "+Number(want), f.Ratio >= want)
}

// RatioAtMost wants so much of the limit or less.
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

// spread is the least and the most of the repetitions.
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

// targets says what is wanted, and whether it is so.
func (f Figure) targets() string {
	texts := make([]string, len(f.Targets))
	for i, t := range f.Targets {
		verdict := "met"
		if !t.Met {
			verdict = "NOT met"
		}
		texts[i] = t.Text + ": " + verdict
	}
	return strings.Join(texts, "; ")
}

// Number shows three digits of a number, or all before the point, and none
// after it that are not needed.
func Number(x float64) string {
	switch {
	case x < 1000 && x == float64(int64(x)):
		return strconv.FormatInt(int64(x), 10)
	case x >= 1000:
		return thousands(int64(x + 0.5))
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return trimmed(fmt.Sprintf("%.1f", x))
	case x >= 1:
		return trimmed(fmt.Sprintf("%.2f", x))
	default:
		return trimmed(fmt.Sprintf("%.3f", x))
	}
}

func trimmed(number string) string {
	return strings.TrimSuffix(strings.TrimRight(number, "0"), ".")
}

// thousands puts a comma before every third digit from the right.
func thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}
