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
	for d := range v.jobs {
		if ctx.Err() != nil {
			continue // the shutdown's time is up: the rest is handed back
		}
		v.metrics.waited.Observe(v.now().Sub(d.Job.Received).Seconds())
		b, err := v.verify(ctx, d)
		if err != nil {
			v.bury(ctx, d, err)
			continue
		}
		faultPoint("verified")
		select {
		case v.judged <- b:
		case <-ctx.Done():
		}
	}
}

// bury puts a job aside that made the verifier panic.
func (v *Verifier) bury(ctx context.Context, d queue.Delivery, reason error) {
	v.log.Error("job put aside", "job", d.Job.ID, "entry", d.EntryID, "error", reason)
	v.metrics.buried.Inc()
	if err := v.consumer.DeadLetter(ctx, d, reason.Error()); err != nil {
		v.log.Warn("cannot put the job aside, it will be delivered again", "entry", d.EntryID, "error", err)
	}
	v.letGo(d)
}

// verify looks at every answer of a job. It changes nothing. Answers that it
// cannot decide, because of a fault of the node's own or because time ran out,
// stay undecided.
func (v *Verifier) verify(ctx context.Context, d queue.Delivery) (b ballot, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	faultPoint("read")
	start := v.now()
	b = ballot{delivery: d, outcomes: make([]node.Outcome, len(d.Job.Proofs))}
	if d.Job.Late(start) {
		b.late = true
		return b, nil
	}
	digests := make([]node.Digest, len(d.Job.Proofs))
	for i, a := range d.Job.Proofs {
		digests[i] = node.DigestOf(a.Proof)
	}
	contracts, err := v.contracts(ctx, d.Job, digests)
	if err != nil {
		v.log.Warn("cannot read contracts, job left undecided", "job", d.Job.ID, "error", err)
		return b, nil
	}
	for i, a := range d.Job.Proofs {
		if v.now().Sub(start) > v.opt.JobHardLimit || ctx.Err() != nil {
			break
		}
		v.look(&b, i, a, digests[i], contracts[a.FileHash])
	}
	v.metrics.verify.Observe(v.now().Sub(start).Seconds())
	return b, nil
}

// look decides one answer, or makes a verdict of it for the commit to decide.
func (v *Verifier) look(b *ballot, i int, a queue.Answer, digest node.Digest, c *node.Contract) {
	if c == nil {
		b.outcomes[i] = node.ContractNotFound
		return
	}
	received := b.delivery.Job.Received
	outcome, decided := c.Decided(digest, received, v.opt.WrongAnswers)
	if decided {
		b.outcomes[i] = outcome
		return
	}
	key, err := v.keys.Key(c.KeyID)
	if err != nil {
		v.log.Error("cannot verify", "contract", c.ID, "error", err)
		return
	}
	valid, err := key.Verify(c.State, c.Challenge, a.Proof)
	if err != nil {
		v.log.Error("cannot verify, the contract's own state is broken", "contract", c.ID, "error", err)
		return
	}
	b.at = append(b.at, i)
	b.verdicts = append(b.verdicts, store.Verdict{
		ContractID: c.ID,
		TokenID:    c.TokenID,
		Sequence:   c.Sequence,
		Proof:      digest,
		Valid:      valid,
		Received:   received,
	})
}

// contracts reads the contracts that a job answers. A copy in Redis may be
// older than the record. It may say which challenge to verify against, since
// the commit checks the sequence number, and that this very proof was accepted
// before, since that never changes back; whenever it says no, the store is
// asked.
func (v *Verifier) contracts(ctx context.Context, job queue.Job, digests []node.Digest) (map[node.FileHash]*node.Contract, error) {
	ctx, cancel := context.WithTimeout(ctx, v.opt.JobHardLimit)
	defer cancel()
	hashes := make([]node.FileHash, len(job.Proofs))
	for i, a := range job.Proofs {
		hashes[i] = a.FileHash
	}
	cached, err := v.queue.States().Get(ctx, job.TokenID, hashes)
	if err != nil {
		cached = make([]*node.Contract, len(hashes)) // without Redis, the store knows
	}
	known := make(map[node.FileHash]*node.Contract, len(hashes))
	var unsure []node.FileHash
	for i, c := range cached {
		if c == nil || v.deniedBy(c, digests[i], job.Received) {
			unsure = append(unsure, hashes[i])
			continue
		}
		known[hashes[i]] = c
	}
	if len(unsure) == 0 {
		return known, nil
	}
	read, err := v.store.Contracts(ctx, job.TokenID, unsure)
	if err != nil {
		return nil, err
	}
	for hash, c := range read {
		known[hash] = &c
	}
	v.share(ctx, slices.Collect(maps.Values(read)))
	return known, nil
}

func (v *Verifier) deniedBy(c *node.Contract, digest node.Digest, received time.Time) bool {
	outcome, decided := c.Decided(digest, received, v.opt.WrongAnswers)
	return decided && !outcome.Accepted()
}

// share writes contracts through to Redis. It is allowed to fail: whoever
// misses a copy, or finds an old one, reads the store.
func (v *Verifier) share(ctx context.Context, contracts []node.Contract) {
	if err := v.queue.States().Put(ctx, contracts); err != nil {
		v.log.Debug("challenge state not shared", "error", err)
	}
}
