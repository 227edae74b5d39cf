package main

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/test/bench/report"
)

// These constants describe the farmers in the measurements with proofs. Their files
// are small, so that many files can be made. With Merkle, the size of a proof and
// the cost to verify it do not depend on the size of the file. With Swizzle, both
// depend on the size of the challenge.
const (
	fileSize         = 10_000
	contractsEach    = 1000
	merkleFiles      = 10_000
	merkleFarmers    = 100
	swizzleFiles     = 4000
	swizzleFarmers   = 20
	batchConnections = 8
)

// merkleFarm returns the farmers with Merkle contracts. Several parts use these
// farmers.
func (b *bench) merkleFarm() *farm {
	n := b.start()
	if n.merkle == nil {
		files := b.encode(n, heartbeat.Merkle, b.scaled(merkleFiles), fileSize)
		n.merkle = newFarm(b, n, heartbeat.Merkle, files, max(b.scaled(merkleFarmers), singleConnections), contractsEach)
	}
	return n.merkle
}

func measureMerkle(b *bench) []report.Figure {
	f := b.merkleFarm()
	limit := b.updateLimit()
	return []report.Figure{
		f.measureBatches("", 1000).Against(limit).RatioAtLeast(0.4).AtLeast(40_000),
		f.measureBatches("", 100).Against(limit),
	}
}

func measureSwizzle(b *bench) []report.Figure {
	n := b.start()
	files := b.encode(n, heartbeat.Swizzle, max(b.scaled(swizzleFiles), contractsEach), fileSize)
	f := newFarm(b, n, heartbeat.Swizzle, files, b.scaled(swizzleFarmers), contractsEach)
	return []report.Figure{f.measureBatches("", 1000)}
}

// measureBatches sends a proof for every contract. Each request contains batch
// proofs.
func (f *farm) measureBatches(title string, batch int) report.Figure {
	requests := f.batches(batch)
	figure := f.b.figure(fmt.Sprintf("%s%s answers, %d a request", title, f.scheme, batch), "proofs/s", func() float64 {
		f.reopen()
		return f.sendProofs(requests, batch, batchConnections)
	})
	f.check()
	return figure
}

// sendProofs sends requests that contain batch proofs each, and returns the number
// of proofs per second. The node must accept all proofs.
func (f *farm) sendProofs(requests [][]request, batch, connections int) float64 {
	t := f.b.send(f.node.api.URL, connections, requests, func(_ int, body []byte) error {
		ok := bytes.Count(body, []byte(`"status":"ok"`))
		if ok != batch || bytes.Count(body, []byte(`"file_hash"`)) != batch {
			return fmt.Errorf("a report has %d times ok for %d proofs: %.300s", ok, batch, body)
		}
		return nil
	})
	f.accepted += int64(len(t.each) * batch)
	return t.perSecond(batch)
}

// batches returns, for each farmer, the requests with all its proofs.
func (f *farm) batches(batch int) [][]request {
	bodies := map[string][]byte{} // farmers with the same files send the same bodies
	requests := make([][]request, len(f.farmers))
	for i, h := range f.farmers {
		for files := range slices.Chunk(h.files, batch) {
			name := files[0].hash.String()
			if bodies[name] == nil {
				bodies[name] = proofsBody(files)
			}
			requests[i] = append(requests[i], post("/answer/"+h.token.Hex(), bodies[name]))
		}
	}
	return requests
}

func proofsBody(files []encoded) []byte {
	var body bytes.Buffer
	separator := `{"proofs": [`
	for _, e := range files {
		fmt.Fprintf(&body, `%s{"file_hash": "%s", "proof": %s}`, separator, e.hash, e.proof)
		separator = ", "
	}
	body.WriteString("]}")
	return body.Bytes()
}

// These constants describe the requests with one proof: the number of connections,
// and the number of requests on each connection in a repetition.
const (
	singleConnections = 64
	singlesEach       = 500
)

func measureSingles(b *bench) []report.Figure {
	f := b.merkleFarm()
	requests := f.singles()
	p50, p99 := report.New("… of them, half within", "ms"), report.New("… of them, 99 % within", "ms")
	singles := b.figure(fmt.Sprintf("Merkle answers, one a request, %d connections", singleConnections), "requests/s", func() float64 {
		f.reopen()
		t := b.send(f.node.api.URL, singleConnections, requests, func(_ int, body []byte) error {
			if string(bytes.TrimSpace(body)) != `{"status":"ok"}` {
				return fmt.Errorf("the node did not accept a proof: %.200s", body)
			}
			return nil
		})
		f.accepted += int64(len(t.each))
		p50.Samples = append(p50.Samples, t.percentile(50))
		p99.Samples = append(p99.Samples, t.percentile(99))
		return t.perSecond(1)
	})
	f.check()
	p50.Samples, p99.Samples = p50.Samples[1:], p99.Samples[1:] // the first sample is from the warm-up
	bare := measureRoundTrips(b, f.files[0].proof)
	return []report.Figure{bare, singles.Against(bare).AtLeast(5000), p50, p99.AtMost(50)}
}

// singles returns, for each farmer, requests with one proof each. There is one
// farmer for each connection.
func (f *farm) singles() [][]request {
	requests := make([][]request, singleConnections)
	for i, h := range f.farmers[:singleConnections] {
		for _, e := range h.files[:f.b.scaled(singlesEach)] {
			body := fmt.Appendf(nil, `{"proof": %s}`, e.proof)
			requests[i] = append(requests[i], post("/answer/"+h.token.Hex()+"/"+e.hash.String(), body))
		}
	}
	return requests
}
