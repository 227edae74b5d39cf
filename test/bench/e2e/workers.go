package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"fmt"
	"math"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
	"github.com/driveshare/downstream-node/test/bench/report"
)

// The workers that are held to a share of a core, and their load: proofs that
// are dear enough for the workers to be what everything else waits for.
const (
	workerShare       = 0.2 // of a core
	heavySize         = 32 << 20
	heavyFiles        = 4
	heavyFarmers      = 40
	heavyBatch        = 100
	heavyConnections  = 16
	heavySeconds      = 4 // about so long for a repetition
	heavyRepeatedWarm = 2 // farmers of the load that tells how many that takes
)

// measureWorkers measures one worker, two and four, each with the same share
// of a core, by the load that keeps them busy equally long.
func measureWorkers(b *bench) []report.Figure {
	const name = "Swizzle answers of 32 MiB, workers with 0.2 core each: %d"
	if err := limitsWork(); err != nil {
		b.Log("workers are not measured: a process cannot be held to a share of a core here:", err)
		return []report.Figure{report.New(fmt.Sprintf(name, 4), "proofs/s").RatioAtLeast(3.5)}
	}
	n := b.start()
	f := newField(b, n, heartbeat.Swizzle, b.heavyProofs(n), heavyFarmers, contractsEach)
	requests := f.batches(heavyBatch)
	var figures []report.Figure
	rate := 0.0 // of one worker
	for _, workers := range []int{1, 2, 4} {
		release := f.node.employLimited(b, workers)
		if rate == 0 {
			rate = f.answer(requests[:heavyRepeatedWarm], heavyBatch, heavyConnections)
		}
		farmers := int(math.Ceil(rate * float64(workers) * heavySeconds / contractsEach))
		load := requests[:min(max(farmers, heavyRepeatedWarm*workers), len(requests))]
		figure, used := f.measureLimited(fmt.Sprintf(name, workers), load)
		if workers > 1 {
			figure = figure.Against(figures[0])
		}
		figures = append(figures, figure)
		if workers == 4 {
			figures[len(figures)-1] = figure.RatioAtLeast(3.5)
			figures = append(figures, used)
		}
		release()
	}
	f.check()
	return figures
}

// measureLimited measures the workers that are there, and how much of their
// share of the processor they used meanwhile.
func (f *field) measureLimited(name string, load [][]request) (figure, used report.Figure) {
	used = report.New("… of their share of the processor, they used", "%")
	samples := f.b.repeat(name, func() float64 {
		f.reopen()
		before, start := f.b.cpu(f.node.workerPIDs()...), time.Now()
		rate := f.pourBatches(load, heavyBatch, heavyConnections)
		share := (f.b.cpu(f.node.workerPIDs()...) - before).Seconds() / time.Since(start).Seconds() / float64(len(f.node.workers))
		used.Samples = append(used.Samples, 100*share/workerShare)
		return rate
	})
	used.Samples = used.Samples[1:] // not the first, to warm up
	return report.New(name, "proofs/s", samples...), used
}

// employLimited is employ with workers of a share of a core. release ends them
// and brings back those that were there.
func (n *running) employLimited(b *bench, workers int) (release func()) {
	n.employ(b, 0)
	var limits []*limit
	for i := range workers {
		l, err := newLimit(fmt.Sprintf("downstream-node-bench-%d", i), workerShare)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(l.remove)
		w := n.Worker(b, nil)
		if err := l.hold(w.PID()); err != nil {
			b.Fatal(err)
		}
		n.workers, limits = append(n.workers, w), append(limits, l)
	}
	return func() {
		n.employ(b, b.workers)
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

// heavyProofs are as many files as a farmer has contracts, of a few contents
// under many names, and with a challenge each of its own.
func (b *bench) heavyProofs(n *running) []encoded {
	b.progress.Step("encoding %d files of 32 MiB, and making %d proofs", heavyFiles, contractsEach)
	key, _ := n.key(b, heartbeat.Swizzle)
	prover, err := schemes.ParsePublic(heartbeat.Swizzle, key.Public())
	if err != nil {
		b.Fatal(err)
	}
	contents := make([]encoded, heavyFiles)
	b.eachOf(heavyFiles, func(ctx context.Context, i int) (err error) {
		contents[i], err = encodeOne(ctx, key, fmt.Sprintf("bench heavy %d", i), heavySize)
		return err
	})
	files := make([]encoded, contractsEach)
	b.eachOf(len(files), func(ctx context.Context, i int) error {
		files[i] = contents[i%heavyFiles]
		files[i].hash = sha256.Sum256(fmt.Append(nil, "bench heavy, name ", i))
		return files[i].prove(ctx, key, prover)
	})
	return files
}

// measureMachine is what one core does with the two primitives that every
// proof is made of, as Go's own library has them.
func measureMachine(b *bench) []report.Figure {
	buf := make([]byte, 1<<20)
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	stream := cipher.NewCTR(block, make([]byte, aes.BlockSize))
	return []report.Figure{
		b.speed("SHA-256, one lane", len(buf), func() { sha256.Sum256(buf) }),
		b.speed("AES-256-CTR", len(buf), func() { stream.XORKeyStream(buf, buf) }),
	}
}

// speed is how many megabytes a second work gets through, size a call.
func (b *bench) speed(name string, size int, work func()) report.Figure {
	const once = time.Second
	return report.New(name, "MB/s", b.repeat(name, func() float64 {
		bytes := 0
		start := time.Now()
		for time.Since(start) < once {
			work()
			bytes += size
		}
		return float64(bytes) / 1e6 / time.Since(start).Seconds()
	})...)
}
