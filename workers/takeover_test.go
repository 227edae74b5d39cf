package workers_test

import (
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/redisdb"
	"github.com/driveshare/downstream-node/workers"
)

// A worker dies with a job in flight. Another worker, which takes over the jobs of
// stuck workers only after a minute, must judge the job before its request ends.
func TestJobsOfADeadWorkerAreJudgedSoon(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		begin := time.Now()
		w := h.submit(t, h.takeOne(t, "seed"))
		h.readJobs(t, 1)
		h.verify(t, "heir", usual())
		w.want(t, node.OK)
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("the verdict took %v", took)
		}
		h.empty(t)
	})
}

// A proof that arrived in time and got no verdict is sent again after its contract's
// due time.
func TestRetryIsJudgedAsOfTheFirstArrival(t *testing.T) {
	tests := []struct {
		name    string
		arrived time.Duration // first arrival, after the hand-out; negative if none is known
		proof   func(contract) []byte
		later   time.Duration // from the due time until the retry
		want    node.Outcome
	}{
		{"in time", interval - time.Second, rightProof, 3 * time.Second, node.OK},
		{"in time, after the sweeper's grace", interval - time.Second, rightProof, 2 * time.Minute, node.OK},
		{"wrong, in time", interval - time.Second, wrongProof, 3 * time.Second, node.Invalid},
		{"no first arrival", -1, rightProof, 3 * time.Second, node.ContractExpired},
		{"first arrival too late", interval, rightProof, 3 * time.Second, node.ContractExpired},
		{"first arrival before the challenge", -time.Hour, rightProof, 3 * time.Second, node.ContractExpired},
	}
	onEach(t, func(t *testing.T, h *harness) {
		h.verify(t, "worker", usual())
		sweeper := workers.NewSweeper(h.deps(), sweeping, retention, unusedLife)
		for _, tt := range tests {
			begin := h.Now()
			c := h.takeOne(t, tt.name)
			c.proof = tt.proof(c)
			if tt.arrived != -1 {
				must(t, h.Redis.Arrivals().Note(t.Context(), []redisdb.Arrival{{
					Contract: h.named(c.hash), Proof: node.DigestOf(c.proof), At: begin.Add(tt.arrived),
				}}))
			}
			before := h.heartbeats(t)
			h.Clock.Advance(interval + tt.later)
			must(t, sweeper.Sweep(t.Context()))
			w := h.submit(t, c)
			w.want(t, tt.want)
			record := h.contractNow(t, c.hash)
			if record.Answered != (tt.want == node.OK) || (len(record.Wrong) == 1) != (tt.want == node.Invalid) {
				t.Errorf("%s: %+v", tt.name, record)
			}
			if counted := h.heartbeats(t) - before; (counted == 1) != (tt.want == node.OK) {
				t.Errorf("%s: %d heartbeats counted", tt.name, counted)
			}
			if t.Failed() {
				t.Fatal(tt.name)
			}
		}
	})
}

func rightProof(c contract) []byte { return c.proof }

func wrongProof(contract) []byte { return []byte("wrong") }

// The challenge that a proof was for has been answered, and the next challenge was
// issued, before a job with the proof is delivered. It must not count as a wrong proof.
func TestJobForAnEarlierChallengeIsNoWrongProof(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		c := h.takeOne(t, "seed")
		old := h.jobOf(contract{c.hash, []byte("another proof")})
		old.Deadline = old.Deadline.Add(2 * interval)
		end := h.verify(t, "worker", usual())
		h.submit(t, c).want(t, node.OK)
		h.Clock.Advance(interval)
		record := h.contractNow(t, c.hash)
		_, err := h.Store.Advance(t.Context(), h.token.ID, []int64{record.ID}, h.Now(), func(c *node.Contract) error {
			challenge, state, err := h.Keys.Current().Challenge(c.State)
			c.Issue(challenge, state, c.Due)
			return err
		})
		must(t, err)
		h.enqueue(t, old).want(t, node.Undecided)
		end()
		if record := h.contractNow(t, c.hash); record.Sequence != 1 || len(record.Wrong) != 0 {
			t.Errorf("%+v", record)
		}
	})
}
