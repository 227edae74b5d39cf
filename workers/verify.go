package workers

import (
	"context"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/queue"
	"github.com/driveshare/downstream-node/internal/store"
)

// ballot is a job whose answers have been looked at: what is decided already,
// and the verdicts that a commit must decide.
type ballot struct {
	delivery queue.Delivery
	outcomes []node.Outcome
	verdicts []store.Verdict
	at       []int // where in outcomes each verdict's belongs
	late     bool  // past its deadline: nobody waits for it any more
}

func (v *Verifier) verifyJobs(ctx context.Context) {
	for jobs := range v.jobs {
		if ctx.Err() != nil {
			continue // the shutdown's time is up: the rest is handed back
		}
		v.verifyTogether(ctx, jobs)
	}
}

// verifyTogether looks at jobs whose contracts are read at once.
func (v *Verifier) verifyTogether(ctx context.Context, jobs []queue.Delivery) {
	for _, d := range jobs {
		v.metrics.waited.Observe(v.now().Sub(d.Job.Received).Seconds())
	}
	asked := ask(jobs)
	contracts, err := v.contracts(ctx, asked)
	if err != nil {
		v.log.Warn("cannot read contracts, jobs left undecided", "jobs", len(jobs), "error", err)
	}
	for i, d := range jobs {
		b, err := v.verify(ctx, d, asked[i], contracts)
		if err != nil {
			v.hand.verified(d)
			v.bury(ctx, d, err)
			continue
		}
		faultPoint("verified")
		v.judged <- b // has room: there are as many places as jobs in hand
		v.hand.verified(d)
	}
}

// bury puts a job aside that made the verifier panic.
func (v *Verifier) bury(ctx context.Context, d queue.Delivery, reason error) {
	v.log.Error("job put aside", "job", d.Job.ID, "entry", d.EntryID, "error", reason)
	v.metrics.buried.Inc()
	if err := v.consumer.DeadLetter(ctx, d, reason.Error()); err != nil {
		v.log.Warn("cannot put the job aside, it will be delivered again", "entry", d.EntryID, "error", err)
	}
	v.hand.letGo(d)
}

// question is an answer on its way through the verifier: to which contract,
// and the digest of its proof.
type question struct {
	contract node.ContractName
	proof    node.Digest
	received time.Time
}

// ask makes the questions of jobs, in their order.
func ask(jobs []queue.Delivery) [][]question {
	asked := make([][]question, len(jobs))
	for i := range jobs {
		job := &jobs[i].Job
		asked[i] = make([]question, len(job.Proofs))
		for k, a := range job.Proofs {
			asked[i][k] = question{
				contract: node.ContractName{TokenID: job.TokenID, FileHash: a.FileHash},
				proof:    node.DigestOf(a.Proof),
				received: job.Received,
			}
		}
	}
	return asked
}

// verify looks at every answer of a job. It changes nothing. Answers that it
// cannot decide, because of a fault of the node's own or because time ran out,
// stay undecided; contracts is nil where they could not be read.
func (v *Verifier) verify(ctx context.Context, d queue.Delivery, asked []question, contracts known) (b ballot, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	faultPoint("read")
	start := v.now()
	b = ballot{delivery: d, outcomes: make([]node.Outcome, len(asked)), late: d.Job.Late(start)}
	if b.late || contracts == nil {
		return b, nil
	}
	b.verdicts, b.at = make([]store.Verdict, 0, len(asked)), make([]int, 0, len(asked))
	for i, q := range asked {
		if v.now().Sub(start) > v.opt.JobHardLimit || ctx.Err() != nil {
			break
		}
		v.look(&b, i, q, contracts[q.contract])
	}
	took := v.now().Sub(start)
	v.hand.learn(d, took)
	v.metrics.verify.Observe(took.Seconds())
	return b, nil
}

// look decides one answer, or makes a verdict of it for the commit to decide.
func (v *Verifier) look(b *ballot, i int, q question, c *node.Contract) {
	if c == nil {
		b.outcomes[i] = node.ContractNotFound
		return
	}
	outcome, decided := c.Decided(q.proof, q.received, v.opt.WrongAnswers)
	if decided {
		b.outcomes[i] = outcome
		return
	}
	key, err := v.keys.Key(c.KeyID)
	if err != nil {
		v.log.Error("cannot verify", "contract", c.ID, "error", err)
		return
	}
	valid, err := key.Verify(c.State, c.Challenge, b.delivery.Job.Proofs[i].Proof)
	if err != nil {
		v.log.Error("cannot verify, the contract's own state is broken", "contract", c.ID, "error", err)
		return
	}
	b.at = append(b.at, i)
	b.verdicts = append(b.verdicts, store.Verdict{
		ContractID: c.ID,
		TokenID:    c.TokenID,
		Sequence:   c.Sequence,
		Proof:      q.proof,
		Valid:      valid,
		Received:   q.received,
		Copy:       c,
	})
}

// known is contracts by what farmers call them.
type known map[node.ContractName]*node.Contract

// contracts reads those that are asked about. A copy in Redis may be older
// than the record. It may say which challenge to verify against, since the
// commit checks the sequence number, and that this very proof was accepted
// before, since that never changes back; whenever it says no, the store is
// asked.
func (v *Verifier) contracts(ctx context.Context, asked [][]question) (known, error) {
	ctx, cancel := context.WithTimeout(ctx, v.opt.JobHardLimit)
	defer cancel()
	all := slices.Concat(asked...)
	names := make([]node.ContractName, len(all))
	for i, q := range all {
		names[i] = q.contract
	}
	cached, err := v.redis.Contracts().Get(ctx, names)
	if err != nil {
		cached = make([]*node.Contract, len(names)) // without Redis, the store knows
	}
	found := make(known, len(names))
	var unsure []node.ContractName
	for i, c := range cached {
		if c == nil || v.deniedBy(c, all[i]) {
			unsure = append(unsure, names[i])
			continue
		}
		found[names[i]] = c
	}
	if len(unsure) == 0 {
		return found, nil
	}
	read, err := v.store.ContractsNamed(ctx, unsure)
	if err != nil {
		return nil, err
	}
	for name, c := range read {
		found[name] = &c
	}
	v.share(ctx, slices.Collect(maps.Values(read)))
	return found, nil
}

func (v *Verifier) deniedBy(c *node.Contract, q question) bool {
	outcome, decided := c.Decided(q.proof, q.received, v.opt.WrongAnswers)
	return decided && !outcome.Accepted()
}

// share writes contracts through to Redis, and forget takes copies away. Both
// are allowed to fail: whoever misses a copy, or finds an old one, reads the
// store.
func (v *Verifier) share(ctx context.Context, contracts []node.Contract) {
	if err := v.redis.Contracts().Put(ctx, contracts); err != nil {
		v.log.Debug("challenge state not shared", "error", err)
	}
}

func (v *Verifier) forget(ctx context.Context, contracts []node.ContractName) {
	if err := v.redis.Contracts().Forget(ctx, contracts...); err != nil {
		v.log.Debug("challenge state not forgotten", "error", err)
	}
}
