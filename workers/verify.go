package workers

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/queue"
	"github.com/driveshare/downstream-node/internal/redisdb"
	"github.com/driveshare/downstream-node/internal/store"
)

// verifiedJob is a job whose proofs were checked. It holds the outcomes that are
// already decided, and the verdicts that the commit decides.
type verifiedJob struct {
	delivery queue.Delivery
	outcomes []node.Outcome
	verdicts []store.Verdict
	at       []int // at[i] is the index in outcomes of the outcome of verdicts[i]
	late     bool  // the deadline has passed, so no request waits for the job
}

func (v *Verifier) verifyJobs(ctx context.Context) {
	for jobs := range v.jobs {
		if ctx.Err() != nil {
			continue // the drain timeout has passed, so the worker hands these jobs back
		}
		v.verifyBatch(ctx, jobs)
	}
}

// verifyBatch verifies several jobs, and reads their contracts together.
func (v *Verifier) verifyBatch(ctx context.Context, jobs []queue.Delivery) {
	for _, d := range jobs {
		v.metrics.wait.Observe(v.now().Sub(d.Job.Received).Seconds())
	}
	proofs := proofsOf(jobs)
	contracts, err := v.readContracts(ctx, proofs)
	if err != nil {
		v.log.Warn("cannot read contracts, these jobs stay undecided", "jobs", len(jobs), "error", err)
	}
	for _, d := range jobs {
		n := len(d.Job.Proofs)
		var own []*node.Contract
		if err == nil {
			own, contracts = contracts[:n:n], contracts[n:]
		}
		job, failure := v.verify(ctx, d, proofs[:n], own)
		proofs = proofs[n:]
		if failure != nil {
			v.inflight.verified(d)
			v.deadLetter(ctx, d, panicked, failure)
			continue
		}
		faultPoint("verified")
		v.verified <- job // does not block: it has room for every job in flight
		v.inflight.verified(d)
	}
}

// deadLetter settles a job that cannot be judged.
func (v *Verifier) deadLetter(ctx context.Context, d queue.Delivery, reason queue.Reason, cause error) {
	v.log.Error("cannot judge job, moving it to the dead letters", "job", d.Job.ID, "entry", d.EntryID, "error", cause)
	v.metrics.countUnjudged(reason, 1)
	if err := v.consumer.DeadLetter(ctx, d, cause.Error()); err != nil {
		v.log.Warn("cannot move job to the dead letters, it will be delivered again", "entry", d.EntryID, "error", err)
	}
	v.inflight.release(d)
}

// proof is a proof that the worker must verify.
type proof struct {
	contract node.ContractName
	digest   node.Digest
	received time.Time
}

// proofsOf returns the proofs of jobs, in their order.
func proofsOf(jobs []queue.Delivery) []proof {
	n := 0
	for i := range jobs {
		n += len(jobs[i].Job.Proofs)
	}
	proofs := make([]proof, 0, n)
	for i := range jobs {
		job := &jobs[i].Job
		for _, p := range job.Proofs {
			proofs = append(proofs, proof{
				contract: node.ContractName{TokenID: job.TokenID, FileHash: p.FileHash},
				digest:   node.DigestOf(p.Proof),
				received: job.Received,
			})
		}
	}
	return proofs
}

// readContracts returns the contract of each proof. If a proof seems to have arrived
// after its contract expired, but an earlier request had brought it in time and ended
// without a verdict, readContracts sets the proof's arrival to the first one.
func (v *Verifier) readContracts(ctx context.Context, proofs []proof) ([]*node.Contract, error) {
	ctx, cancel := context.WithTimeout(ctx, v.cfg.JobHardLimit)
	defer cancel()
	names := make([]node.ContractName, len(proofs))
	for i, p := range proofs {
		names[i] = p.contract
	}
	contracts, err := v.contracts.Read(ctx, names, func(i int, c *node.Contract) bool {
		outcome, decided := c.Decided(proofs[i].digest, proofs[i].received, v.wrongAnswers)
		return decided && !outcome.Accepted() || !v.keys.Has(c.KeyID) // the copy may be older than the replacement of its key
	})
	if err == nil {
		err = v.useFirstArrivals(ctx, proofs, contracts)
	}
	return contracts, err
}

func (v *Verifier) useFirstArrivals(ctx context.Context, proofs []proof, contracts []*node.Contract) error {
	var late []int
	var arrivals []redisdb.Arrival
	for i, p := range proofs {
		c := contracts[i]
		if c == nil {
			continue
		}
		if outcome, _ := c.Decided(p.digest, p.received, v.wrongAnswers); outcome == node.ContractExpired {
			late = append(late, i)
			arrivals = append(arrivals, redisdb.Arrival{Contract: p.contract, Proof: p.digest})
		}
	}
	if len(late) == 0 {
		return nil
	}
	first, err := v.arrivals.Find(ctx, arrivals)
	if err != nil {
		return err
	}
	for n, i := range late {
		c := contracts[i]
		if first[n].Before(c.Began()) {
			continue // there is none, or it was for an earlier challenge
		}
		if _, decided := c.Decided(proofs[i].digest, first[n], v.wrongAnswers); !decided {
			proofs[i].received = first[n]
		}
	}
	return nil
}

// verify checks every proof of a job against its contract. It changes nothing. A
// proof stays undecided if the node cannot verify it or if the time limit is
// reached. If the contracts could not be read, contracts is nil and all proofs stay
// undecided. verify returns an error if the verification panics.
func (v *Verifier) verify(ctx context.Context, d queue.Delivery, proofs []proof, contracts []*node.Contract) (job verifiedJob, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	faultPoint("read")
	start := v.now()
	job = verifiedJob{delivery: d, outcomes: make([]node.Outcome, len(proofs)), late: d.Job.Late(start)}
	if job.late || contracts == nil {
		return job, nil
	}
	job.verdicts, job.at = make([]store.Verdict, 0, len(proofs)), make([]int, 0, len(proofs))
	for i, p := range proofs {
		if v.now().Sub(start) > v.cfg.JobHardLimit || ctx.Err() != nil {
			break
		}
		v.verifyProof(&job, i, p, contracts[i])
	}
	took := v.now().Sub(start)
	v.inflight.measure(d, took)
	v.metrics.verify.Observe(took.Seconds())
	return job, nil
}

// certain returns the outcome of a proof, or Undecided if the proof seems late but its
// contract's deadline may still move.
func (v *Verifier) certain(outcome node.Outcome, c *node.Contract) node.Outcome {
	if outcome == node.ContractExpired && c.Expiry().After(v.known()) {
		return node.Undecided
	}
	return outcome
}

// verifyProof sets the outcome of proof i, or adds a verdict that the commit
// decides.
func (v *Verifier) verifyProof(job *verifiedJob, i int, p proof, c *node.Contract) {
	if c == nil {
		job.outcomes[i] = node.ContractNotFound
		return
	}
	outcome, decided := c.Decided(p.digest, p.received, v.wrongAnswers)
	if decided {
		job.outcomes[i] = v.certain(outcome, c)
		return
	}
	key, err := v.keys.Key(c.KeyID)
	if err != nil {
		v.log.Error("cannot verify a proof without the contract's key", "contract", c.ID, "error", err)
		return
	}
	valid, err := key.Verify(c.State, c.Challenge, job.delivery.Job.Proofs[i].Proof)
	if err != nil {
		v.log.Error("cannot verify a proof, the contract's state is broken", "contract", c.ID, "error", err)
		return
	}
	job.at = append(job.at, i)
	job.verdicts = append(job.verdicts, store.Verdict{
		ContractID: c.ID,
		TokenID:    c.TokenID,
		Sequence:   c.Sequence,
		Proof:      p.digest,
		Valid:      valid,
		Received:   p.received,
		Copy:       c,
	})
}
