package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"runtime"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
	"github.com/driveshare/downstream-node/test/bench/report"
)

// These constants describe the workers with a share of a core, and their load. The
// proofs of the load are so expensive that the workers are the bottleneck.
const (
	workerShare       = 0.2 // share of a core
	heavySize         = 32 << 20
	heavyFiles        = 4
	heavyFarmers      = 40
	heavyBatch        = 100
	heavyConnections  = 16
	heavySeconds      = 4 // the approximate time of a repetition
	heavyProbeFarmers = 2 // number of farmers in the load that measures the rate of one worker
)

// measureWorkers measures one, two and four workers, each with the same share of a
// core. For each number of workers, the load keeps the workers busy for
// approximately the same time.
func measureWorkers(b *bench) []report.Figure {
	const name = "Swizzle answers of 32 MiB, workers with 0.2 core each: %d"
	if err := limitsWork(); err != nil {
		b.Log("the workers are not measured, because a process cannot be limited to a share of a core here:", err)
		return []report.Figure{report.New(fmt.Sprintf(name, 4), "proofs/s").RatioAtLeast(3.5)}
	}
	n := b.start()
	f := newFarm(b, n, heartbeat.Swizzle, b.heavyProofs(n), heavyFarmers, contractsEach)
	requests := f.batches(heavyBatch)
	var figures []report.Figure
	rate := 0.0 // rate of one worker
	for _, workers := range []int{1, 2, 4} {
		release := n.setLimitedWorkers(b, workers)
		if rate == 0 {
			f.reopen()
			rate = f.sendProofs(requests[:heavyProbeFarmers], heavyBatch, heavyConnections)
		}
		farmers := int(math.Ceil(rate * float64(workers) * heavySeconds / contractsEach))
		load := requests[:min(max(farmers, heavyProbeFarmers*workers), len(requests))]
		figure, used := f.measureLimited(fmt.Sprintf(name, workers), load)
		if workers > 1 {
			figure = figure.Against(figures[0])
		}
		if workers == 4 {
			figure = figure.RatioAtLeast(3.5)
		}
		figures = append(figures, figure)
		if workers == 4 {
			figures = append(figures, used)
		}
		release()
	}
	f.check()
	return figures
}

// measureLimited measures the current workers. It also measures how much of their
// share of the processor they used.
func (f *farm) measureLimited(name string, load [][]request) (figure, used report.Figure) {
	used = report.New("… of their share of the processor, they used", "%")
	figure = f.b.figure(name, "proofs/s", func() float64 {
		f.reopen()
		before, start := f.b.cpu(f.node.workerPIDs()...), time.Now()
		rate := f.sendProofs(load, heavyBatch, heavyConnections)
		share := (f.b.cpu(f.node.workerPIDs()...) - before).Seconds() / time.Since(start).Seconds() / float64(len(f.node.workers))
		used.Samples = append(used.Samples, 100*share/workerShare)
		return rate
	})
	used.Samples = used.Samples[1:] // the first sample is from the warm-up
	return figure, used
}

// setLimitedWorkers does what setWorkers does, but its workers have a share of a
// core. release stops these workers and starts the usual workers.
func (n *running) setLimitedWorkers(b *bench, workers int) (release func()) {
	n.setWorkers(b, 0)
	var limits []*limit
	for i := range workers {
		l, err := newLimit(fmt.Sprintf("downstream-node-bench-%d", i), workerShare)
		b.must(err)
		b.Cleanup(l.remove)
		w := n.Worker(b, nil)
		b.must(l.add(w.PID()))
		n.workers, limits = append(n.workers, w), append(limits, l)
	}
	return func() {
		n.setWorkers(b, b.workers)
		for _, l := range limits {
			l.remove()
		}
	}
}

func (n *running) workerPIDs() []int {
	var pids []int
	for _, w := range n.workers {
		pids = append(pids, w.PID())
	}
	return pids
}

// heavyProofs makes as many files as a farmer has contracts. Several files share
// the same content, but each file has its own name and challenge.
func (b *bench) heavyProofs(n *running) []encoded {
	b.progress.Step("encoding %d files of 32 MiB, and making %d proofs", heavyFiles, contractsEach)
	key, _ := n.key(b, heartbeat.Swizzle)
	prover, err := schemes.ParsePublic(heartbeat.Swizzle, key.Public())
	b.must(err)
	contents := make([]encoded, heavyFiles)
	b.parallel(heavyFiles, runtime.NumCPU(), func(ctx context.Context, i int) (err error) {
		contents[i], err = encodeOne(ctx, key, fmt.Sprintf("bench heavy %d", i), heavySize)
		return err
	})
	files := make([]encoded, contractsEach)
	b.parallel(len(files), runtime.NumCPU(), func(ctx context.Context, i int) error {
		files[i] = contents[i%heavyFiles]
		files[i].hash = sha256.Sum256(fmt.Append(nil, "bench heavy, name ", i))
		return files[i].prove(ctx, key, prover)
	})
	return files
}
