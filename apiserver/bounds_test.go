package apiserver_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/filestream"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
)

// While it sends a response to /chunk, the node must not hold all tags in memory. The
// test is not parallel, because it measures the memory of the whole process.
func TestHandOutDoesNotHoldTags(t *testing.T) {
	h := openHarness(t, testnode.Embedded, func(p *plan) { p.idle = true })
	f := h.newFarmer(t, 1)
	const tag, chunks = 2 << 20, 10
	big := h.encode(t, h.Keys.Current(), "big", 100, heartbeat.EncodeOptions{Challenges: tag / 64})
	content, err := io.ReadAll(big.Tag)
	must(t, err)
	for i := range chunks {
		big.Seed = fmt.Sprint("big ", i)
		big.Hash, err = filestream.Hash(t.Context(), big.Seed, big.Size)
		must(t, err)
		big.Tag = strings.NewReader(string(content))
		h.addChunk(t, big)
	}
	big.Tag, content = nil, nil

	req, err := http.NewRequestWithContext(t.Context(), "GET", h.URL+f.at("chunk", "1000"), nil)
	must(t, err)
	req.Header.Set(from, f.ip)
	before := heap()
	resp, err := h.Client().Do(req)
	must(t, err)
	defer resp.Body.Close()
	var read, peak uint64
	for {
		n, err := io.CopyN(io.Discard, resp.Body, 1<<20)
		read += uint64(n)
		peak = max(peak, heap())
		if err == io.EOF {
			break
		}
		must(t, err)
	}
	if read < chunks*tag {
		t.Fatalf("the response has %d bytes, and its tags alone %d", read, chunks*tag)
	}
	if held := int64(peak) - int64(before); held > chunks*tag/2 {
		t.Errorf("the node used %d bytes of memory to send %d bytes of tags", held, chunks*tag)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestTenThousandItemsInOneRequest(t *testing.T) {
	onEach(t, func(p *plan) { p.cfg.API.MaxBody = 4 << 20 }, func(t *testing.T, h *harness) {
		f := h.newFarmer(t, 1)
		c := f.takeOne(t, "seed")
		hashes := make([]string, 10_000)
		batch := proofs{make([]proofOf, len(hashes))}
		for i := range hashes {
			hashes[i] = fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, i))) // hashes that compress no better than real ones
			if i == 7777 {
				hashes[i] = c.FileHash
			}
			batch.Proofs[i] = proofOf{hashes[i], f.prove(t, c, nil)}
		}
		asked := decodeOK[struct{ Challenges []contract }](t, f.ask(t, "POST", f.at("challenge"), map[string][]string{"hashes": hashes}))
		decoded := decodeOK[report](t, f.ask(t, "POST", f.at("answer"), gzipped(t, asJSON(t, batch))))
		if len(asked.Challenges) != len(hashes) || len(decoded.Report) != len(hashes) {
			t.Fatalf("%d challenges and %d lines, want %d", len(asked.Challenges), len(decoded.Report), len(hashes))
		}
		for i, hash := range hashes {
			known := hash == c.FileHash
			if got := asked.Challenges[i]; got.FileHash != hash || (got.Error == "") != known {
				t.Fatalf("challenge %d: %+v", i, got)
			}
			if got := decoded.Report[i]; got.FileHash != hash || (got.Error == "") != known {
				t.Fatalf("line %d: %+v", i, got)
			}
		}
		more := append(slices.Clone(hashes), c.FileHash)
		f.ask(t, "POST", f.at("challenge"), map[string][]string{"hashes": more}).want(t, http.StatusBadRequest, "more than 10000")
	})
}

// The token has more contracts than challengePage.
func TestChallengesOfManyContracts(t *testing.T) {
	onEach(t, func(p *plan) { p.idle, p.cfg.Contracts.ContractsPerRequest = true, 2000 }, func(t *testing.T, h *harness) {
		f := h.newFarmer(t, 1)
		chunk := h.encode(t, h.Keys.Current(), "seed", 1, heartbeat.EncodeOptions{Challenges: 1})
		tag, err := io.ReadAll(chunk.Tag)
		must(t, err)
		const n = 1100
		for i := range n {
			chunk.Seed, chunk.Hash = fmt.Sprint(i), node.FileHash{byte(i), byte(i >> 8), 1}
			chunk.Tag = strings.NewReader(string(tag))
			h.addChunk(t, chunk)
		}
		if taken := f.take(t, 1<<20); len(taken) != n {
			t.Fatalf("%d contracts, want %d", len(taken), n)
		}
		all := decodeOK[struct{ Challenges []contract }](t, f.ask(t, "GET", f.at("challenge"), nil)).Challenges
		seen := map[string]bool{}
		for _, c := range all {
			seen[c.FileHash] = c.Challenge != nil
		}
		if len(all) != n || len(seen) != n {
			t.Errorf("%d challenges of %d contracts, want %d", len(all), len(seen), n)
		}
	})
}

// If a body is incomplete, the node may already have a verdict on its first proofs. The
// response does not contain these verdicts, so the farmer repeats the request. Each
// proof must count exactly once.
func TestProofsInBrokenBodiesCountOnce(t *testing.T) {
	onEach(t, func(p *plan) { p.cfg.API.PartSize = 1 }, func(t *testing.T, h *harness) {
		f := h.newFarmer(t, 1)
		c := f.takeOne(t, "seed")
		whole := string(asJSON(t, proofs{[]proofOf{{c.FileHash, f.prove(t, c, nil)}, {c.FileHash, f.prove(t, c, nil)}}}))
		for _, cut := range []int{len(whole) - 1, len(whole) - 2, len(whole) - 10, len(whole)/2 + 5, len(whole) / 2, 20} {
			f.ask(t, "POST", f.at("answer"), whole[:cut]).want(t, http.StatusBadRequest, "must be JSON")
		}
		f.ask(t, "POST", f.at("answer"), strings.Replace(whole, "},{", "},,{", 1)).want(t, http.StatusBadRequest, "must be JSON")
		for _, line := range decodeOK[report](t, f.ask(t, "POST", f.at("answer"), whole)).Report {
			if line.Status != "ok" {
				t.Errorf("%+v", line)
			}
		}
		if n := f.heartbeats(t); n != 1 {
			t.Errorf("%d heartbeats, want 1", n)
		}
	})
}

func TestZipBomb(t *testing.T) {
	t.Parallel()
	h := openHarness(t, testnode.Embedded, func(p *plan) { p.idle = true })
	f := h.newFarmer(t, 1)
	for name, body := range map[string]struct{ start, filler string }{
		"white space":         {`{"proofs": [`, " "},
		"one long string":     {`{"proofs": [{"file_hash": "`, "x"},
		"in a skipped member": {`{"more": "`, "x"},
		"an endless list":     {`{"more": [`, "1,"},
		"endless nesting":     {"[", "["},
		"many small elements": {`{"proofs": [`, `{"file_hash":"","proof":1},`},
	} {
		got := f.ask(t, "POST", f.at("answer"), bomb(t, body.start, body.filler, 32<<20))
		if got.status != http.StatusRequestEntityTooLarge && got.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	f.ask(t, "POST", f.at("answer"), strings.Repeat(" ", 1<<20+1)).want(t, http.StatusRequestEntityTooLarge, "too large")
}
