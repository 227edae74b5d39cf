package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/filestream"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/test/bench/report"
)

// The farmers of the answers: with files small enough to be made in numbers.
// What a proof weighs and what it costs to verify does not depend on the
// file's size with Merkle, and with Swizzle on that of the challenge.
const (
	fileSize         = 10_000
	contractsEach    = 1000
	merkleFiles      = 10_000
	merkleFarmers    = 100
	swizzleFiles     = 4000
	swizzleFarmers   = 20
	batchConnections = 8
)

// merkleField is the farmers with Merkle contracts, which several parts use.
func (b *bench) merkleField() *field {
	n := b.start()
	if n.merkle == nil {
		files := b.encode(n, heartbeat.Merkle, b.scaled(merkleFiles), fileSize)
		n.merkle = newField(b, n, heartbeat.Merkle, files, max(b.scaled(merkleFarmers), singleConnections), contractsEach)
	}
	return n.merkle
}

func measureMerkle(b *bench) []report.Figure {
	f := b.merkleField()
	limit := b.updateLimit()
	return []report.Figure{
		f.measureBatches(1000).Against(limit).RatioAtLeast(0.4).AtLeast(40_000),
		f.measureBatches(100).Against(limit),
	}
}

func measureSwizzle(b *bench) []report.Figure {
	n := b.start()
	files := b.encode(n, heartbeat.Swizzle, max(b.scaled(swizzleFiles), contractsEach), fileSize)
	f := newField(b, n, heartbeat.Swizzle, files, b.scaled(swizzleFarmers), contractsEach)
	return []report.Figure{f.measureBatches(1000)}
}

// measureBatches answers every contract of the field, so many to a request.
func (f *field) measureBatches(batch int) report.Figure {
	name := fmt.Sprintf("%s answers, %d a request", f.scheme, batch)
	requests := f.batches(batch)
	samples := f.b.repeat(name, func() float64 { return f.answer(requests, batch, batchConnections) })
	f.check()
	return report.New(name, "proofs/s", samples...)
}

// answer sets the contracts back and answers them.
func (f *field) answer(requests [][]request, batch, connections int) float64 {
	f.reopen()
	return f.pourBatches(requests, batch, connections)
}

// pourBatches makes requests of so many proofs each, by farmer, and gives the
// proofs a second. All of them must be accepted.
func (f *field) pourBatches(requests [][]request, batch, connections int) float64 {
	r := f.b.pour(f.node.api.URL, connections, requests, func(_, _ int, answer []byte) error {
		return allOK(answer, batch)
	})
	proofs := len(r.each) * batch
	f.told += int64(proofs)
	return float64(proofs) / r.took.Seconds()
}

// batches are the requests that answer everything, by farmer.
func (f *field) batches(batch int) [][]request {
	bodies := map[string][]byte{} // farmers with the same files send the same
	requests := make([][]request, len(f.farmers))
	for i, h := range f.farmers {
		for files := range slices.Chunk(h.files, batch) {
			name := files[0].hash.String()
			if bodies[name] == nil {
				bodies[name] = answersBody(files)
			}
			requests[i] = append(requests[i], post("/answer/"+h.token.Hex(), bodies[name]))
		}
	}
	return requests
}

func answersBody(files []encoded) []byte {
	var body bytes.Buffer
	body.WriteString(`{"proofs": [`)
	for i, e := range files {
		if i > 0 {
			body.WriteString(", ")
		}
		fmt.Fprintf(&body, `{"file_hash": "%s", "proof": %s}`, e.hash, e.proof)
	}
	body.WriteString("]}")
	return body.Bytes()
}

// allOK is nil for a report that says ok n times and nothing else.
func allOK(answer []byte, n int) error {
	ok := bytes.Count(answer, []byte(`"status":"ok"`))
	if ok != n || bytes.Count(answer, []byte(`"file_hash"`)) != n {
		return fmt.Errorf("a report says ok %d times to %d proofs: %.300s", ok, n, answer)
	}
	return nil
}

// The requests with one proof: as many connections as the figure is wanted at,
// and how many requests each makes in a repetition.
const (
	singleConnections = 64
	singlesEach       = 500
)

func measureSingles(b *bench) []report.Figure {
	f := b.merkleField()
	requests := f.singles()
	p50, p99 := report.New("… of them, half within", "ms"), report.New("… of them, 99 % within", "ms")
	name := fmt.Sprintf("Merkle answers, one a request, %d connections", singleConnections)
	samples := b.repeat(name, func() float64 {
		f.reopen()
		r := b.pour(f.node.api.URL, singleConnections, requests, func(_, _ int, answer []byte) error {
			if string(bytes.TrimSpace(answer)) != `{"status":"ok"}` {
				return fmt.Errorf("an answer was told %.200s", answer)
			}
			return nil
		})
		f.told += int64(len(r.each))
		p50.Samples = append(p50.Samples, r.percentile(50))
		p99.Samples = append(p99.Samples, r.percentile(99))
		return float64(len(r.each)) / r.took.Seconds()
	})
	f.check()
	p50.Samples, p99.Samples = p50.Samples[1:], p99.Samples[1:] // not the first, to warm up
	singles := report.New(name, "requests/s", samples...)
	bare := measureRoundTrips(b, f.files[0].proof)
	return []report.Figure{bare, singles.Against(bare).AtLeast(5000), p50, p99.AtMost(50)}
}

// singles are requests of one proof each, by farmer, one farmer a connection.
func (f *field) singles() [][]request {
	requests := make([][]request, singleConnections)
	for i, h := range f.farmers[:singleConnections] {
		for _, e := range h.files[:f.b.scaled(singlesEach)] {
			body := fmt.Appendf(nil, `{"proof": %s}`, e.proof)
			requests[i] = append(requests[i], post("/answer/"+h.token.Hex()+"/"+e.hash.String(), body))
		}
	}
	return requests
}

// percentile is the time, in milliseconds, within which so many of a hundred
// requests were answered.
func (r flow) percentile(p int) float64 {
	sorted := slices.Sorted(slices.Values(r.each))
	at := min(len(sorted)*p/100, len(sorted)-1)
	return float64(sorted[at]) / float64(time.Millisecond)
}

// encoded is a file that was encoded, with a challenge and the proof that
// answers it.
type encoded struct {
	hash                  node.FileHash
	seed                  string
	size                  int64
	tag, state, challenge []byte
	proof                 json.RawMessage
}

// encode makes n files of size bytes with the node's key, and a proof for each.
func (b *bench) encode(node *running, scheme heartbeat.Type, n int, size int64) []encoded {
	b.progress.Step("encoding %d files with %s", n, scheme)
	key, _ := node.key(b, scheme)
	prover, err := schemes.ParsePublic(scheme, key.Public())
	if err != nil {
		b.Fatal(err)
	}
	files := make([]encoded, n)
	first := b.encoded
	b.encoded += n
	b.eachOf(n, func(ctx context.Context, i int) (err error) {
		if files[i], err = encodeOne(ctx, key, fmt.Sprintf("bench %d", first+i), size); err != nil {
			return err
		}
		return files[i].prove(ctx, key, prover)
	})
	return files
}

// eachOf does n things, some at once.
func (b *bench) eachOf(n int, do func(ctx context.Context, i int) error) {
	group, ctx := errgroup.WithContext(b.ctx)
	group.SetLimit(runtime.NumCPU())
	for i := range n {
		group.Go(func() error { return do(ctx, i) })
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
}

func encodeOne(ctx context.Context, key heartbeat.Heartbeat, seed string, size int64) (e encoded, err error) {
	file := filestream.New(seed, size)
	content := sha256.New()
	if _, err := io.Copy(content, io.NewSectionReader(file, 0, size)); err != nil {
		return e, err
	}
	e = encoded{hash: node.FileHash(content.Sum(nil)), seed: seed, size: size}
	var tag bytes.Buffer
	e.state, err = key.Encode(ctx, file, size, &tag, heartbeat.EncodeOptions{})
	e.tag = tag.Bytes()
	return e, err
}

// prove issues the file's next challenge and answers it.
func (e *encoded) prove(ctx context.Context, key heartbeat.Heartbeat, prover heartbeat.Prover) (err error) {
	if e.challenge, e.state, err = key.Challenge(e.state); err != nil {
		return err
	}
	proof, err := prover.Prove(ctx, filestream.New(e.seed, e.size), e.size, e.tag, e.challenge)
	if err != nil {
		return err
	}
	e.proof, err = prover.ProofJSON(proof)
	return err
}
