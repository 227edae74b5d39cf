package apiserver_test

import (
	"encoding/json"
	"io"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/queue"
	"github.com/driveshare/downstream-node/internal/store"
)

// judge commits a verdict for a proof and updates the cache, as a worker does, but
// sends no reply.
func (h *harness) judge(t testing.TB, f *farmer, c contract, proof json.RawMessage, valid bool) {
	t.Helper()
	name := node.ContractName{TokenID: f.record(t).ID, FileHash: hashOf(t, c)}
	found, err := h.Store.Contracts(t.Context(), []node.ContractName{name})
	must(t, err)
	record := found[name]
	parsed, err := h.Keys.Current().ParseProof(proof)
	if err != nil {
		parsed = nil // a proof that cannot be parsed is wrong
	}
	judged, err := h.Store.Commit(t.Context(), []store.Verdict{{
		ContractID: record.ID, TokenID: record.TokenID, Sequence: record.Sequence,
		Proof: node.DigestOf(parsed), Valid: valid, Received: h.Clock.Now(),
	}}, h.App.Config.Contracts.WrongAnswers)
	must(t, err)
	if o := judged[0].Outcome; o != node.OK && o != node.Invalid {
		t.Fatalf("the verdict is %v", judged[0].Outcome)
	}
	must(t, h.Redis.Contracts().Put(t.Context(), []node.Contract{judged[0].Contract}))
}

// accept commits a valid proof for the contract's challenge.
func (h *harness) accept(t testing.TB, f *farmer, c contract) {
	t.Helper()
	h.judge(t, f, c, f.prove(t, c, nil), true)
}

// fillQueue adds a job to the queue. The test's queue must have room for only one job.
func (h *harness) fillQueue(t testing.TB) {
	t.Helper()
	now := h.Clock.Now()
	must(t, h.Queue.Enqueue(t.Context(), queue.Job{ID: queue.NewID(), Received: now, Deadline: now.Add(time.Hour)}))
}

func copyTo(w io.Writer, r io.Reader) error {
	_, err := io.Copy(w, r)
	return err
}
