package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/driveshare/downstream-node/test/bench/report"
)

// targets begins the names of the benchmarks of schemes with a detection target.
const targets = "schemes.Target/"

// measured reports whether a benchmark ran whose name begins with prefix.
func (all results) measured(prefix string) bool {
	for name := range all {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// printTargets writes the table of the schemes with a detection target: a line for
// each scheme, number of challenges and file size.
func (all results) printTargets(w io.Writer) {
	fmt.Fprint(w, "| scheme | challenges | file | a challenge covers | detected | encode | prove | verify |\n|---|---|---|---|---|---|---|---|\n")
	for _, scheme := range []string{"Swizzle/12", "Merkle/12", "Merkle/256"} {
		name, challenges, _ := strings.Cut(scheme, "/")
		for _, size := range []string{"1KiB", "16KiB", "64KiB", "256KiB", "1MiB", "4MiB", "32MiB"} {
			cell := func(work string, in scale) string {
				f := all.figure("", targets+scheme+"/"+size+"/"+work, in)
				if len(f.Samples) == 0 {
					return "not measured"
				}
				if f.Unit == "%" { // 99.98 % must not become 100 %
					return strconv.FormatFloat(f.Median(), 'g', 4, 64) + " %"
				}
				return report.Number(f.Median()) + " " + f.Unit
			}
			fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s | %s |\n", name, challenges, size[:len(size)-3]+" "+size[len(size)-3:],
				cell("encode", scale{"%covered", "%", 1}), cell("encode", scale{"%detected", "%", 1}),
				cell("encode", milliseconds), cell("prove", microseconds), cell("verify", microseconds))
		}
	}
}
