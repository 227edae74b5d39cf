package main

import (
	"strconv"
	"strings"

	"github.com/driveshare/downstream-node/test/bench/report"
)

// figures returns the figures that have targets, and some other figures. Each
// figure is from the fastest kernel, unless its name says portable.
func figures(all results) []report.Figure {
	const (
		encode, prove, verify = "swizzle.Encode/32MiB", "swizzle.Prove/32MiB", "swizzle.Verify/32MiB"
		merkle, wire          = "merkle.Encode/32MiB", "merkle.Verify/32MiB/wire"
		portable              = "/kernel=portable"
		two                   = "-2" // on two cores
	)
	mul := all.figure("math/big, 1024 × 1024 bits", "swizzle.BigMul1024", nanoseconds)
	sha := all.figure("SHA-256, one lane", "swizzle.SHA256", megabytes)
	lane := all.figure("what one SHA-256 lane allows", merkle+"/limit", megabytes)
	return []report.Figure{
		mul, sha,
		all.figure("Swizzle verify, a challenged block", all.tuned(verify, ""), perBlock).Against(mul).RatioAtMost(1.2),
		all.figure("… portable", verify+portable, perBlock).Against(mul).RatioAtMost(5),
		all.figure("Swizzle verify", all.tuned(verify, ""), microseconds),
		all.figure("Swizzle encode, seed to tag and file hash", all.tuned(encode, ""), megabytes).Against(sha).RatioAtLeast(0.5),
		all.figure("… on two cores", all.tuned(encode, two), megabytes).Against(sha).RatioAtLeast(0.9),
		all.figure("… portable", encode+portable, megabytes).Against(sha),
		all.figure("Swizzle prove", all.tuned(prove, ""), milliseconds).AtMost(1.5),
		all.figure("… portable", prove+portable, milliseconds),
		all.figure("Merkle encode, 256 challenges", all.tuned(merkle, ""), megabytes).Against(lane).RatioAtLeast(1.5),
		all.figure("… portable", merkle+portable, megabytes).Against(lane),
		all.figure("Merkle verify, wire bytes to verdict", wire, microseconds).AtMost(6),
		all.figure("… allocations", wire, allocations).AtMost(0),
		all.figure("Merkle prove", "merkle.Prove/32MiB", microseconds),
	}
}

// results holds the values that the benchmarks printed. The keys are
// "package.Benchmark" and the unit, and there is one sample for each round. A name
// ends in -2 if the benchmark ran on two cores.
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

// add adds the values of a line, each followed by its unit.
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

// scale describes how to convert the output of a benchmark: the unit of the output,
// the unit of the figure, and the divisor.
type scale struct {
	from, to string
	divisor  float64
}

var (
	nanoseconds  = scale{"ns/op", "ns", 1}
	microseconds = scale{"ns/op", "µs", 1e3}
	milliseconds = scale{"ns/op", "ms", 1e6}
	perBlock     = scale{"ns/block", "ns", 1}
	megabytes    = scale{"MB/s", "MB/s", 1}
	allocations  = scale{"allocs/op", "allocations", 1}
)

// figure makes a figure from a benchmark. The figure has no samples if the
// benchmark did not run.
func (all results) figure(title, name string, in scale) report.Figure {
	f := report.New(title, in.to)
	for _, value := range all[name][in.from] {
		f.Samples = append(f.Samples, value/in.divisor)
	}
	return f
}

// tuned returns the name of a benchmark run with its fastest kernel. suffix is
// empty for one core and "-2" for two cores.
func (all results) tuned(name, suffix string) string {
	fastest := name + suffix
	for run := range all {
		kernel, isKernel := strings.CutPrefix(run, name+"/kernel=")
		if !isKernel || strings.HasSuffix(kernel, "-2") != (suffix != "") || strings.Contains(kernel, "/") {
			continue
		}
		best := all.figure("", fastest, nanoseconds)
		if len(best.Samples) == 0 || all.figure("", run, nanoseconds).Median() < best.Median() {
			fastest = run
		}
	}
	return fastest
}
