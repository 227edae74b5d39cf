package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// figure is one line of the table.
type figure struct {
	name  string
	value float64
	unit  string
	old   float64 // of the Python node; 0 where it was not measured
	less  bool    // less is better
}

// ratio is how many times better than the old node's.
func (f figure) ratio() float64 {
	if f.less {
		return f.old / f.value
	}
	return f.value / f.old
}

// rate is a figure of things a second.
func rate(name, unit string, n float64, took time.Duration, old float64) figure {
	return figure{name: name, value: n / took.Seconds(), unit: unit, old: old}
}

// latency is a figure of the time that one thing takes, in microseconds.
func latency(name string, each time.Duration, old float64) figure {
	return figure{name: name, value: float64(each) / float64(time.Microsecond), unit: "µs", old: old, less: true}
}

type table struct {
	machine string
	figures []figure
}

func (t *table) add(figures ...figure) { t.figures = append(t.figures, figures...) }

func (t *table) print(w io.Writer) {
	fmt.Fprintln(w, t.machine)
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "figure\tthis node\t\told node\ttimes better\t")
	for _, f := range t.figures {
		old, ratio := "-", "-"
		if f.old > 0 {
			old, ratio = significant(f.old), significant(f.ratio())
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t\n", f.name, significant(f.value), f.unit, old, ratio)
	}
	out.Flush()
}

// significant shows three digits of a number, or all before the point.
func significant(x float64) string {
	switch {
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	default:
		return fmt.Sprintf("%.2f", x)
	}
}

// machine describes where the figures are from.
func machine() string {
	return fmt.Sprintf("%d × %s, %s/%s, %s", runtime.NumCPU(), processor(), runtime.GOOS, runtime.GOARCH, runtime.Version())
}

// processor is the model, as Linux knows it.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "processor"
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "processor"
}
