package main

import (
	"slices"
	"strings"
	"testing"
)

const printed = `goos: linux
pkg: example.org/heartbeat/swizzle
BenchmarkVerify/32MiB/kernel=portable         100   9000 ns/op  10 B/op  2 allocs/op
BenchmarkVerify/32MiB/kernel=avx512           100   2000 ns/op  10 B/op  2 allocs/op
BenchmarkVerify/32MiB/kernel=avx512-2         100   1000 ns/op
PASS
pkg: example.org/heartbeat/merkle
BenchmarkVerify/32MiB                           1      5 ns/op
pkg: example.org/heartbeat/swizzle
BenchmarkVerify/32MiB/kernel=avx512             1   4000 ns/op
`

func TestFigure(t *testing.T) {
	t.Parallel()
	all := parse([]byte(printed))
	for name, want := range map[string][]float64{
		"swizzle.Verify/32MiB/kernel=avx512":   {2, 4},
		"swizzle.Verify/32MiB/kernel=avx512-2": {1},
		"swizzle.Prove/32MiB":                  nil,
	} {
		if got := all.figure("", name, microseconds).Samples; !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestTargets(t *testing.T) {
	t.Parallel()
	all := parse([]byte(`pkg: example.org/heartbeat/schemes
BenchmarkTarget/Merkle/256/4MiB/encode  2  7000000 ns/op  1.5 %covered  99.01 %detected  0 B/op
BenchmarkTarget/Merkle/256/4MiB/prove   2  3000 ns/op
`))
	var table strings.Builder
	all.printTargets(&table)
	for _, want := range []string{"| Merkle | 256 | 4 MiB | 1.5 % | 99.01 % | 7 ms | 3 µs | not measured |\n", "| Swizzle | 12 | 1 KiB | not measured |"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("%s\nlacks %s", table.String(), want)
		}
	}
	if !all.measured(targets) || all.measured("swizzle.") {
		t.Error("measured reports the wrong benchmarks")
	}
}

func TestTuned(t *testing.T) {
	t.Parallel()
	all := parse([]byte(printed))
	for _, test := range []struct{ name, suffix, want string }{
		{"swizzle.Verify/32MiB", "", "swizzle.Verify/32MiB/kernel=avx512"},
		{"swizzle.Verify/32MiB", "-2", "swizzle.Verify/32MiB/kernel=avx512-2"},
		{"merkle.Verify/32MiB", "", "merkle.Verify/32MiB"}, // benchmarks without kernels
	} {
		if got := all.tuned(test.name, test.suffix); got != test.want {
			t.Errorf("%s on %q: %s, want %s", test.name, test.suffix, got, test.want)
		}
	}
}
