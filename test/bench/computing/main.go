// Command computing measures the proofs by themselves: it runs the benchmarks
// of heartbeat/... and the yardsticks beside them, all of them round after
// round, so that a slow moment of the machine falls on all alike. `make bench`
// runs it; it takes some minutes and ends by itself.
//
// It prints benchstat's comparison of the kernels, tuned against portable, and
// then a table of the figures that the project is held to, each beside the
// yardstick that it is a ratio of. One core, where the table says nothing else.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/driveshare/downstream-node/test/bench/report"
)

// options are what the flags say.
type options struct {
	rounds    int
	benchtime time.Duration
	pattern   string
	document  string
}

func main() {
	var opt options
	flag.IntVar(&opt.rounds, "rounds", 10, "how often each benchmark is run")
	flag.DurationVar(&opt.benchtime, "benchtime", 100*time.Millisecond, "how long each is run for, each time")
	flag.StringVar(&opt.pattern, "bench", ".", "the `pattern` of the benchmarks to run")
	flag.StringVar(&opt.document, "write", "", "Markdown `file` whose section to replace")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, opt); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, opt options) error {
	dir, err := os.MkdirTemp("", "downstream-node-bench-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	load := report.Load()
	lines, err := measure(ctx, dir, opt)
	if err != nil {
		return err
	}
	comparison, err := compareKernels(ctx, dir, lines)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	fmt.Fprintln(&text, "```text")
	for _, line := range report.Machine(load) {
		fmt.Fprintln(&text, line)
	}
	fmt.Fprintf(&text, "rounds: %d, of %v for each benchmark\n```\n\n", opt.rounds, opt.benchtime)
	report.Print(&text, figures(parse(lines)))
	os.Stdout.Write(comparison)
	if _, err := os.Stdout.Write(text.Bytes()); err != nil || opt.document == "" {
		return err
	}
	return report.WriteSection(opt.document, "make bench", text.String())
}
