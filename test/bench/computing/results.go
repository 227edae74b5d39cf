package main

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/driveshare/downstream-node/test/bench/report"
)

// results are what benchmarks printed: by "package.Benchmark" and unit, a
// sample a round. A name ends in -2 where it ran on two cores.
type results map[string]map[string][]float64

// parse reads the lines that benchmarks print.
func parse(lines []byte) results {
	all := results{}
	pkg := ""
	for line := range strings.Lines(string(lines)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 2 && fields[0] == "pkg:":
			pkg = fields[1][strings.LastIndex(fields[1], "/")+1:]
		case len(fields) >= 4 && strings.HasPrefix(fields[0], "Benchmark"):
			all.add(pkg+"."+strings.TrimPrefix(fields[0], "Benchmark"), fields[2:])
		}
	}
	return all
}

// add takes in the values of a line, each followed by its unit.
func (all results) add(name string, values []string) {
	if all[name] == nil {
		all[name] = map[string][]float64{}
	}
	for i := 0; i+1 < len(values); i += 2 {
		if value, err := strconv.ParseFloat(values[i], 64); err == nil {
			all[name][values[i+1]] = append(all[name][values[i+1]], value)
		}
	}
}

// figure makes one of the benchmark whose name is matched, its values divided.
// It has no samples where no benchmark is matched.
func (all results) figure(title, pattern, from, to string, divisor float64) report.Figure {
	match := regexp.MustCompile("^" + pattern + "$")
	f := report.New(title, to)
	for name, units := range all {
		if !match.MatchString(name) {
			continue
		}
		for _, value := range units[from] {
			f.Samples = append(f.Samples, value/divisor)
		}
	}
	return f
}
