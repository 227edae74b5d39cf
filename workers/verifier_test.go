package workers_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/queue"
	"github.com/driveshare/downstream-node/internal/store"
	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/workers"
)

// readJobs reads n jobs from the queue and does not acknowledge them, like a worker
// that dies.
func (h *harness) readJobs(t *testing.T, n int) []queue.Delivery {
	t.Helper()
	var taken []queue.Delivery
	dead := h.Queue.NewConsumer("dead", queue.ConsumerOptions{Block: 10 * time.Millisecond})
	waitFor(t, "jobs", func() bool {
		more, err := dead.Read(t.Context(), n)
		must(t, err)
		taken = append(taken, more...)
		return len(taken) == n
	})
	return taken
}

// claiming returns the options of a verifier that takes over the jobs of other
// workers immediately.
func claiming() workers.Config {
	cfg := usual()
	cfg.ClaimIdle = time.Millisecond
	return cfg
}

func TestVerdicts(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		h.verify(t, "worker", usual())
		right, wrong, late := h.takeOne(t, "right"), h.takeOne(t, "wrong"), h.takeOne(t, "late")
		wrong.proof = []byte("wrong")
		unknown := contract{node.FileHash{1}, right.proof}
		h.submit(t, right, wrong, unknown).want(t, node.OK, node.Invalid, node.ContractNotFound)
		h.submit(t, right, wrong, right).want(t, node.OKAgain, node.InvalidAgain, node.OKAgain)
		other := contract{right.hash, wrong.proof}
		h.submit(t, other).want(t, node.AlreadyAnswered)
		for i, want := range []node.Outcome{node.Invalid, node.Invalid, node.TooManyWrong} {
			h.submit(t, contract{wrong.hash, []byte{byte(i)}}).want(t, want)
		}
		h.Clock.Advance(interval)
		h.submit(t, late).want(t, node.ContractExpired)
		h.submit(t).want(t)
		if n := h.heartbeats(t); n != 1 {
			t.Errorf("%d heartbeats, want 1", n)
		}
	})
}

// A worker dies after the commit and before its reply. The job is delivered again.
// It must count once, and the farmer must get the verdict.
func TestRedeliveryAfterTheCommitCountsOnce(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		c := h.takeOne(t, "seed")
		w := h.submit(t, c)
		h.readJobs(t, 1)
		h.commit(t, c)
		h.verify(t, "second", claiming())
		w.want(t, node.OKAgain)
		h.empty(t)
		if n := h.heartbeats(t); n != 1 {
			t.Errorf("%d heartbeats, want 1", n)
		}
	})
}

// A worker dies before the commit. The second worker must judge the job.
func TestRedeliveryBeforeTheCommit(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		c := h.takeOne(t, "seed")
		w := h.submit(t, c)
		h.readJobs(t, 1)
		h.verify(t, "second", claiming())
		w.want(t, node.OK)
		// The first worker was only paused. It now commits its verdict, after the
		// second worker.
		if outcome := h.tryCommit(t, c); outcome != node.OKAgain {
			t.Errorf("the late commit returned %v", outcome)
		}
		h.empty(t)
		if n := h.heartbeats(t); n != 1 {
			t.Errorf("%d heartbeats, want 1", n)
		}
	})
}

func (h *harness) commit(t *testing.T, c contract) {
	t.Helper()
	if outcome := h.tryCommit(t, c); outcome != node.OK {
		t.Fatalf("committed as %v", outcome)
	}
}

// named returns the name of the token's contract for a file.
func (h *harness) named(hash node.FileHash) node.ContractName {
	return node.ContractName{TokenID: h.token.ID, FileHash: hash}
}

// contractNow reads the token's contract for a file.
func (h *harness) contractNow(t *testing.T, hash node.FileHash) node.Contract {
	t.Helper()
	found, err := h.Store.Contracts(t.Context(), []node.ContractName{h.named(hash)})
	must(t, err)
	return found[h.named(hash)]
}

func (h *harness) tryCommit(t *testing.T, c contract) node.Outcome {
	t.Helper()
	record := h.contractNow(t, c.hash)
	judged, err := h.Store.Commit(t.Context(), []store.Verdict{{
		ContractID: record.ID, TokenID: record.TokenID, Proof: node.DigestOf(c.proof), Valid: true, Received: h.Now(),
	}}, 3)
	must(t, err)
	return judged[0].Outcome
}

// After a job's deadline, no request waits for the reply. The worker must not judge
// the job, and the proof must not count as wrong.
func TestLateJobsAreNeverJudged(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		c := h.takeOne(t, "seed")
		wrong := contract{c.hash, []byte("wrong")}
		right, bad := h.submit(t, c), h.submit(t, wrong)
		h.Clock.Advance(20 * time.Second)
		h.verify(t, "worker", usual())
		right.want(t, node.Undecided)
		bad.want(t, node.Undecided)
		h.empty(t)
		record := h.contractNow(t, c.hash)
		if record.Answered || len(record.Wrong) != 0 {
			t.Errorf("a late job changed the contract: %+v", record)
		}
		if stats := h.stats(t); stats.Late != 2 {
			t.Errorf("%d late jobs counted, want 2", stats.Late)
		}
		h.submit(t, c).want(t, node.OK)
	})
}

// The verification ends after the job's deadline. The worker must not judge the
// job.
func TestJobsThatBecomeLateInFlightAreNeverJudged(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		c := h.takeOne(t, "seed")
		slow := func([]byte) { h.Clock.Advance(20 * time.Second) }
		h.key.verifying.Store(&slow)
		h.verify(t, "worker", usual())
		h.submit(t, contract{c.hash, []byte("wrong")}).want(t, node.Undecided)
		h.submit(t, c).want(t, node.Undecided)
		record := h.contractNow(t, c.hash)
		if record.Version != 0 {
			t.Errorf("a late job changed the contract: %+v", record)
		}
	})
}

// A proof that arrives in time must be accepted, even if its job waits in the queue
// until after the contract's expiry.
func TestProofReceivedInTimeIsAccepted(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		c := h.takeOne(t, "seed")
		h.Clock.Advance(interval - time.Microsecond)
		w := h.submit(t, c)
		h.Clock.Advance(10 * time.Second)
		h.verify(t, "worker", usual())
		w.want(t, node.OK)
	})
}

// A stale copy in Redis must not make a farmer lose its contract.
func TestStaleCopyDoesNotReject(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		c := h.takeOne(t, "seed")
		record := h.contractNow(t, c.hash)
		for name, spoil := range map[string]func(*node.Contract){
			"expired":       func(c *node.Contract) { c.Due = start.Add(-time.Hour) },
			"spent":         func(c *node.Contract) { c.Wrong = make([]node.Digest, 3) },
			"answered":      func(c *node.Contract) { c.Answered = true },
			"counted wrong": func(stale *node.Contract) { stale.Wrong = []node.Digest{node.DigestOf(c.proof)} },
		} {
			stale := record
			spoil(&stale)
			must(t, h.Redis.Contracts().Forget(t.Context(), node.ContractName{TokenID: h.token.ID, FileHash: c.hash}))
			must(t, h.Redis.Contracts().Put(t.Context(), []node.Contract{stale}))
			end := h.verify(t, "worker "+name, usual())
			reply := h.submit(t, c)
			select {
			case r := <-reply.reply:
				if !r.Outcomes[0].Accepted() {
					t.Errorf("%s: %v", name, r.Outcomes)
				}
			case <-time.After(testenv.Patience):
				t.Errorf("%s: no reply", name)
			}
			end()
		}
	})
}

// After a verdict, the cache must not contain a copy of an answered contract until
// a request reads the contract again. A copy of any other contract must equal its
// row.
func TestCopiesAfterVerdicts(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		h.verify(t, "worker", usual())
		right, wrong := h.takeOne(t, "right"), h.takeOne(t, "wrong")
		wrong.proof = []byte("wrong")
		copies := func() []*node.Contract {
			names := []node.ContractName{
				{TokenID: h.token.ID, FileHash: right.hash},
				{TokenID: h.token.ID, FileHash: wrong.hash},
			}
			copies, err := h.Redis.Contracts().Get(t.Context(), names)
			must(t, err)
			return copies
		}
		h.submit(t, right, wrong).want(t, node.OK, node.Invalid)
		if got := copies(); got[0] != nil || got[1] == nil || len(got[1].Wrong) != 1 {
			t.Errorf("after the proofs: %+v", got)
		}
		h.submit(t, right).want(t, node.OKAgain)
		if got := copies(); got[0] == nil || !got[0].Answered {
			t.Errorf("after a repeated proof: %+v", got)
		}
		// The wrong proof comes first. Both proofs are in one commit.
		both := h.takeOne(t, "both")
		h.submit(t, contract{both.hash, wrong.proof}, both).want(t, node.Invalid, node.OK)
		held, err := h.Redis.Contracts().Get(t.Context(), []node.ContractName{{TokenID: h.token.ID, FileHash: both.hash}})
		must(t, err)
		if held[0] != nil {
			t.Errorf("after a wrong and a valid proof: %+v", held[0])
		}
	})
}

// Several workers share the jobs. No job may be lost or judged twice, and each
// reply must reach the sender of its job.
func TestWorkersShareTheQueue(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		const n = 60
		var contracts []contract
		var jobs []waiting
		for i := range n {
			contracts = append(contracts, h.takeOne(t, fmt.Sprint("seed ", i)))
		}
		for i := range 3 {
			h.verify(t, fmt.Sprint("worker ", i), usual())
		}
		for _, batch := range slices.Collect(slices.Chunk(contracts, 3)) {
			jobs = append(jobs, h.submit(t, batch...), h.submit(t, batch...))
		}
		for _, w := range jobs {
			select {
			case reply := <-w.reply:
				for _, outcome := range reply.Outcomes {
					if !outcome.Accepted() {
						t.Errorf("%v", reply.Outcomes)
					}
				}
			case <-time.After(testenv.Patience):
				t.Fatal("no reply")
			}
		}
		h.empty(t)
		if got := h.heartbeats(t); got != n {
			t.Errorf("%d heartbeats, want %d", got, n)
		}
	})
}
