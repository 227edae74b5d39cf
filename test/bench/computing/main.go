// Command computing measures proofs without a node. It runs the benchmarks of
// heartbeat/... and the benchmarks of the limits that proofs are compared with. It
// runs all benchmarks in every round, so that a short slowdown of the machine
// affects all benchmarks. `make bench` runs this command; it takes some minutes.
//
// It first prints benchstat's comparison of the tuned kernels with the portable
// kernel. Then it prints a table of the figures that have targets, each beside its
// limit. A figure is for one core, unless the table says otherwise.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/driveshare/downstream-node/test/bench/report"
)

// options are the flags.
type options struct {
	rounds    int
	benchtime time.Duration
	pattern   string
	document  string
}

func main() {
	var opt options
	flag.IntVar(&opt.rounds, "rounds", 10, "number of runs of each benchmark")
	flag.DurationVar(&opt.benchtime, "benchtime", 100*time.Millisecond, "time of each run")
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
	var machine strings.Builder
	fmt.Fprintln(&machine, "```text")
	for _, line := range report.Machine(load) {
		fmt.Fprintln(&machine, line)
	}
	fmt.Fprintf(&machine, "rounds: %d, of %v for each benchmark\n```\n\n", opt.rounds, opt.benchtime)
	os.Stdout.Write(comparison)
	all := parse(lines)
	for _, section := range []struct {
		name  string
		print func(io.Writer)
		ran   bool
	}{
		{"make bench", func(w io.Writer) { report.Print(w, figures(all)) }, all.measured("swizzle.") || all.measured("merkle.")},
		{"make bench, detection", all.printTargets, all.measured(targets)},
	} {
		if !section.ran {
			continue
		}
		var text strings.Builder
		text.WriteString(machine.String())
		section.print(&text)
		fmt.Printf("%s\n", text.String())
		if opt.document == "" {
			continue
		}
		if err := report.WriteSection(opt.document, section.name, text.String()); err != nil {
			return err
		}
	}
	return nil
}

// packages is the pattern of the packages that have benchmarks.
const packages = "./heartbeat/..."

// onTwoCores matches the benchmarks that also run on two cores.
const onTwoCores = "^BenchmarkEncode$"

// binary is the test binary with the benchmarks of a package.
type binary struct {
	path, dir string // the binary, and the directory in which it runs
}

// measure runs every benchmark in each round and returns the lines that they
// print.
func measure(ctx context.Context, dir string, opt options) ([]byte, error) {
	progress := report.NewProgress()
	defer progress.End()
	progress.Step("building the benchmarks")
	binaries, err := build(ctx, dir)
	if err != nil {
		return nil, err
	}
	var lines bytes.Buffer
	for round := range opt.rounds {
		for _, b := range binaries {
			progress.Step("round %d of %d: %s", round+1, opt.rounds, filepath.Base(b.path))
			if err := b.run(ctx, &lines, opt.pattern, 1, opt); err != nil {
				return nil, err
			}
			if opt.pattern != "." {
				continue
			}
			if err := b.run(ctx, &lines, onTwoCores, 2, opt); err != nil {
				return nil, err
			}
		}
	}
	return lines.Bytes(), nil
}

// build builds the packages that have benchmarks.
func build(ctx context.Context, dir string) ([]binary, error) {
	list := exec.CommandContext(ctx, "go", "list", "-f", "{{.ImportPath}} {{.Dir}}", packages)
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("list packages: %w", err)
	}
	var binaries []binary
	for line := range strings.Lines(string(out)) {
		name, source, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !hasBenchmarks(source) {
			continue
		}
		b := binary{path: filepath.Join(dir, filepath.Base(name)+".test"), dir: source}
		if out, err := exec.CommandContext(ctx, "go", "test", "-c", "-o", b.path, name).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build the benchmarks of %s: %w\n%s", name, err, out)
		}
		binaries = append(binaries, b)
	}
	return binaries, nil
}

func hasBenchmarks(dir string) bool {
	tests, _ := filepath.Glob(filepath.Join(dir, "*_test.go")) // the pattern is valid
	for _, path := range tests {
		if text, err := os.ReadFile(path); err == nil && bytes.Contains(text, []byte("\nfunc Benchmark")) {
			return true
		}
	}
	return false
}

// run runs a package's benchmarks once.
func (b binary) run(ctx context.Context, lines *bytes.Buffer, pattern string, cores int, opt options) error {
	cmd := exec.CommandContext(ctx, b.path, "-test.run=^$", "-test.bench="+pattern,
		"-test.benchmem", "-test.benchtime="+opt.benchtime.String(), fmt.Sprintf("-test.cpu=%d", cores))
	cmd.Dir = b.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("benchmarks of %s: %w\n%s", filepath.Base(b.path), err, out)
	}
	lines.Write(out)
	return nil
}

// compareKernels returns benchstat's table of the benchmarks that run with each
// kernel.
func compareKernels(ctx context.Context, dir string, lines []byte) ([]byte, error) {
	path := filepath.Join(dir, "lines")
	if err := os.WriteFile(path, lines, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "go", "tool", "-modfile=hack/tools/go.mod", "benchstat",
		"-col=/kernel", "-filter=/kernel:/./ .unit:(ns/op OR ns/block OR MB/s)", "-ignore=cpu", path)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("benchstat: %w\n%s", err, out)
	}
	return out, nil
}
