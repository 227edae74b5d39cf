package main

import (
	"slices"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	all := parse([]byte("goos: linux\npkg: example.org/heartbeat/swizzle\n" +
		"BenchmarkVerify/32MiB         \t     100\t   2000 ns/op\t  10 B/op\t  2 allocs/op\n" +
		"BenchmarkVerify/32MiB-2       \t     100\t   1000 ns/op\n" +
		"BenchmarkVerify/32MiB/kernel=portable \t 10\t 9000 ns/op\nPASS\n" +
		"pkg: example.org/heartbeat/merkle\nBenchmarkVerify/32MiB \t 1\t 5 ns/op\n" +
		"pkg: example.org/heartbeat/swizzle\nBenchmarkVerify/32MiB \t 1\t 4000 ns/op\n"))
	for pattern, want := range map[string][]float64{
		"swizzle.Verify/32MiB" + best:     {2, 4},
		"swizzle.Verify/32MiB-2":          {1},
		"swizzle.Verify/32MiB" + portable: {9},
		"swizzle.Prove/32MiB":             nil,
	} {
		if got := all.figure("", pattern, "ns/op", "µs", 1000).Samples; !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", pattern, got, want)
		}
	}
}
