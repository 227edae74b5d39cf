package apiserver_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
)

// These tests send the requests that deployed farmers send. The node must accept them,
// because deployed farmers cannot be changed.

func TestFalseGzipHeader(t *testing.T) {
	onEach(t, defaultPlan, func(t *testing.T, h *harness) {
		f := h.newFarmer(t, 1)
		one, two := f.takeOne(t, "one"), f.takeOne(t, "two")
		f.submit(t, one, f.prove(t, one, nil), "Content-Encoding", "gzip").want(t, http.StatusOK, `"ok"`)
		batch := proofs{[]proofOf{{two.FileHash, f.prove(t, two, nil)}}}
		f.ask(t, "POST", f.at("answer"), batch, "Content-Encoding", "gzip").want(t, http.StatusOK, `"ok"`)
		if n := f.heartbeats(t); n != 2 {
			t.Errorf("%d heartbeats, want 2", n)
		}
	})
}

func TestCompressedBody(t *testing.T) {
	onEach(t, defaultPlan, func(t *testing.T, h *harness) {
		f := h.newFarmer(t, 1)
		c := f.takeOne(t, "seed")
		batch := asJSON(t, proofs{[]proofOf{{c.FileHash, f.prove(t, c, nil)}}})
		f.ask(t, "POST", f.at("answer"), gzipped(t, batch)).want(t, http.StatusOK, `"ok"`)
		f.ask(t, "POST", f.at("answer"), gzipped(t, batch), "Content-Encoding", "gzip").want(t, http.StatusOK, `"ok"`)
		cut := gzipped(t, batch)
		f.ask(t, "POST", f.at("answer"), cut[:len(cut)/2]).want(t, http.StatusBadRequest, "must be JSON")
		f.ask(t, "POST", f.at("answer"), cut[:4]).want(t, http.StatusBadRequest, "gzip")
	})
}

func gzipped(t *testing.T, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(content)
	must(t, err)
	must(t, w.Close())
	return b.Bytes()
}

// Before the due time, the node returns the old challenge, with answered set to true.
// From the due time on, it returns the next challenge.
func TestChallengeRequestedBeforeDue(t *testing.T) {
	onEach(t, defaultPlan, func(t *testing.T, h *harness) {
		f := h.newFarmer(t, 1)
		c := f.takeOne(t, "seed")
		old := c
		f.submit(t, c, f.prove(t, c, nil)).want(t, http.StatusOK, "ok")

		h.Clock.Advance(interval - time.Second)
		f.next(t, &c)
		if !c.Answered || !bytes.Equal(c.Challenge, old.Challenge) || c.Due != 1 {
			t.Errorf("a second early: %+v", c)
		}
		h.Clock.Advance(time.Second - time.Microsecond)
		f.next(t, &c)
		if !c.Answered || !bytes.Equal(c.Challenge, old.Challenge) || c.Due != 0 {
			t.Errorf("a microsecond early: %+v", c)
		}
		h.Clock.Advance(time.Microsecond)
		f.next(t, &c)
		if c.Answered || bytes.Equal(c.Challenge, old.Challenge) || c.Due != int64(interval/time.Second) {
			t.Errorf("at the due time: %+v", c)
		}
	})
}

// If the due time passes during the request, the response must not be "no more
// challenges".
func TestDuePassesDuringRequest(t *testing.T) {
	t.Parallel()
	h := openHarness(t, testnode.Embedded, func(p *plan) { p.idle = true })
	f := h.newFarmer(t, 1)
	for reads := range 6 { // how often the node reads the clock before the due time passes
		for _, form := range []string{"GET all", "POST", "GET one"} {
			c := f.takeOne(t, fmt.Sprintf("%d %s", reads, form))
			h.accept(t, f, c)
			h.Clock.Advance(interval - time.Duration(reads)*time.Millisecond - time.Microsecond)
			h.Clock.AdvanceOnRead(time.Millisecond)
			var got response
			switch form {
			case "GET all":
				got = f.ask(t, "GET", f.at("challenge"), nil)
			case "POST":
				got = f.ask(t, "POST", f.at("challenge"), map[string][]string{"hashes": {c.FileHash}})
			default:
				got = f.ask(t, "GET", f.at("challenge", c.FileHash), nil)
			}
			h.Clock.AdvanceOnRead(0)
			if got.status != http.StatusOK || strings.Contains(got.body, "no more challenges") {
				t.Errorf("%s, %d reads early: %d %s", form, reads, got.status, got.body)
			}
		}
	}
}

// A farmer repeats a request after a 503. The verdicts must be the same each time.
func TestRetryAfterFailureGivesTheSameVerdict(t *testing.T) {
	onEach(t, func(p *plan) { p.idle = true; p.cfg.API.AnswerTimeout = 50 * time.Millisecond }, func(t *testing.T, h *harness) {
		f := h.newFarmer(t, 1)
		right, wrong := f.takeOne(t, "right"), f.takeOne(t, "wrong")
		rightProof := f.prove(t, right, nil)
		batch := proofs{[]proofOf{{right.FileHash, rightProof}, {wrong.FileHash, json.RawMessage(`{}`)}}}

		// No worker runs, so there is no verdict.
		got := f.ask(t, "POST", f.at("answer"), batch)
		got.want(t, http.StatusServiceUnavailable, "ask again")
		if got.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		// A worker has committed the verdicts, but its reply was lost.
		h.judge(t, f, right, rightProof, true)
		h.judge(t, f, wrong, json.RawMessage(`{}`), false)
		for range 2 {
			decoded := decodeOK[report](t, f.ask(t, "POST", f.at("answer"), batch))
			if decoded.Report[0].Status != "ok" || decoded.Report[1].Error != node.Invalid.Message() {
				t.Errorf("%+v", decoded)
			}
		}
		if n := f.heartbeats(t); n != 1 {
			t.Errorf("%d heartbeats, want 1", n)
		}
	})
}

func TestSameProofTwiceIsOKTwiceAndCountedOnce(t *testing.T) {
	onEach(t, defaultPlan, func(t *testing.T, h *harness) {
		f := h.newFarmer(t, 1)
		c := f.takeOne(t, "seed")
		proof := f.prove(t, c, nil)
		f.submit(t, c, proof).want(t, http.StatusOK, "ok")
		f.submit(t, c, proof).want(t, http.StatusOK, "ok")
		f.submit(t, c, reordered(t, proof)).want(t, http.StatusOK, "ok")
		both := proofs{[]proofOf{{c.FileHash, proof}, {c.FileHash, reordered(t, proof)}}}
		for _, line := range decodeOK[report](t, f.ask(t, "POST", f.at("answer"), both)).Report {
			if line.Status != "ok" {
				t.Errorf("%+v", line)
			}
		}
		// The due time passes, but the farmer does not request the next challenge.
		h.Clock.Advance(interval + time.Second)
		f.submit(t, c, proof).want(t, http.StatusOK, "ok")
		if n := f.heartbeats(t); n != 1 {
			t.Errorf("%d heartbeats, want 1", n)
		}
	})
}

// One request contains the same proof 20 times, in 20 jobs. The proof has no verdict
// before the request, so several workers may verify it at the same time.
func TestSameProofManyTimesInOneRequest(t *testing.T) {
	onEach(t, func(p *plan) { p.cfg.API.PartSize = 1 }, func(t *testing.T, h *harness) {
		f := h.newFarmer(t, 1)
		c := f.takeOne(t, "seed")
		var batch proofs
		for range 20 {
			batch.Proofs = append(batch.Proofs, proofOf{c.FileHash, f.prove(t, c, nil)})
		}
		decoded := decodeOK[report](t, f.ask(t, "POST", f.at("answer"), batch)).Report
		for i, line := range decoded {
			if line.Status != "ok" {
				t.Errorf("%d: %+v", i, line)
			}
		}
		if n := f.heartbeats(t); n != 1 || len(decoded) != 20 {
			t.Errorf("%d heartbeats in a report of %d, want 1 of 20", n, len(decoded))
		}
	})
}

// reordered returns the Merkle proof with its JSON members in another order and with
// additional white space.
func reordered(t *testing.T, proof json.RawMessage) json.RawMessage {
	t.Helper()
	var p struct {
		Leaf   struct{ Index, Blob json.RawMessage }
		Branch json.RawMessage
	}
	must(t, json.Unmarshal(proof, &p))
	return json.RawMessage(`{ "branch": ` + string(p.Branch) + `, "leaf": {"blob": ` + string(p.Leaf.Blob) +
		`, "index": ` + string(p.Leaf.Index) + "}}\n")
}

func TestDifferentProofAfterAcceptedProof(t *testing.T) {
	onEach(t, defaultPlan, func(t *testing.T, h *harness) {
		f := h.newFarmer(t, 1)
		c := f.takeOne(t, "seed")
		f.submit(t, c, f.prove(t, c, nil)).want(t, http.StatusOK, "ok")
		f.submit(t, c, json.RawMessage(`{}`)).want(t, http.StatusBadRequest, "Challenge already answered")
		if n := f.heartbeats(t); n != 1 {
			t.Errorf("%d heartbeats, want 1", n)
		}
	})
}

// Swizzle chooses each challenge at random. If a request names a contract twice, both
// items of the response and the store must contain the same challenge.
func TestSameContractTwiceInOneRequest(t *testing.T) {
	swizzle := func(p *plan) { p.schemes = []heartbeat.Type{heartbeat.Swizzle} }
	onEach(t, swizzle, func(t *testing.T, h *harness) {
		f := h.newFarmer(t, 1)
		c := f.takeOne(t, "seed")
		f.submit(t, c, f.prove(t, c, nil)).want(t, http.StatusOK, "ok")
		h.Clock.Advance(interval)
		got := decodeOK[struct{ Challenges []contract }](t, f.ask(t, "POST", f.at("challenge"),
			map[string][]string{"hashes": {c.FileHash, c.FileHash}})).Challenges
		if !bytes.Equal(got[0].Challenge, got[1].Challenge) {
			t.Errorf("two challenges for one contract: %s and %s", got[0].Challenge, got[1].Challenge)
		}
		must(t, h.Redis.Contracts().Forget(t.Context(), node.ContractName{TokenID: f.record(t).ID, FileHash: hashOf(t, c)}))
		c.Challenge = got[1].Challenge
		f.submit(t, c, f.prove(t, c, nil)).want(t, http.StatusOK, "ok")
	})
}

func hashOf(t testing.TB, c contract) node.FileHash {
	t.Helper()
	hash, ok := node.ParseFileHash(c.FileHash)
	if !ok {
		t.Fatalf("%q is not a file hash", c.FileHash)
	}
	return hash
}
