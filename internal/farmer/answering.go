package farmer

import (
	"context"
	"fmt"
	"time"
)

// linger is how long a proof waits for others to be sent with.
const linger = 200 * time.Millisecond

// answerWith starts sending the proofs that are ready, in batches. A batch
// that is not full waits while there are more proofs to come, unproved ones
// among them, but no longer than linger; at is when that is over.
func (k *keeper) answerWith(ctx context.Context, ready []*contract, unproved int, now time.Time) (at time.Time, wait bool) {
	for len(ready) > 0 && k.requests < k.cfg.Requests {
		batch := ready[:min(len(ready), k.answerBatch)]
		if len(batch) < k.answerBatch && k.proving+unproved > 0 {
			oldest := batch[0].at
			for _, c := range batch {
				oldest = earlier(oldest, c.at)
			}
			if at = oldest.Add(linger); now.Before(at) {
				return at, true
			}
		}
		ready = ready[len(batch):]
		k.answer(ctx, batch)
	}
	return time.Time{}, false
}

// answer starts sending one batch.
func (k *keeper) answer(ctx context.Context, batch []*contract) {
	k.requests++
	proofs := make([]Proof, len(batch))
	for i, c := range batch {
		c.busy = true
		proofs[i] = Proof{c.FileHash, c.proof}
	}
	k.start(func() func() {
		report, err := k.client.Answers(ctx, k.token, proofs)
		err = k.explain(ctx, err)
		return func() {
			k.requests--
			k.reported(batch, report, err)
		}
	})
}

// reported takes in the report on a batch. What the report leaves out is sent
// again: the same proof twice counts once.
func (k *keeper) reported(batch []*contract, report []Verdict, err error) {
	verdicts := make(map[string]Verdict, len(report))
	for _, verdict := range report {
		verdicts[verdict.FileHash] = verdict
	}
	var missing []*contract
	for _, c := range batch {
		c.busy = false
		if c.gone || err != nil {
			continue
		}
		verdict, ok := verdicts[c.FileHash]
		if !ok {
			missing = append(missing, c)
			continue
		}
		k.judged(c, verdict)
	}
	if err != nil {
		k.answerBatch = smaller(k.answerBatch, len(batch), err)
		k.failed(batch, err)
	}
	if len(missing) > 0 {
		k.failed(missing, fmt.Errorf("answer: the report leaves out %d of %d proofs", len(missing), len(batch)))
	}
}

// judged takes in the verdict on one proof. An error is final.
func (k *keeper) judged(c *contract, verdict Verdict) {
	if verdict.OK() {
		c.accepted()
		k.tally.count(func(s *Snapshot) { s.Heartbeats++ })
	} else {
		err := fmt.Errorf("answer: file %s: %s", c.FileHash, verdict.Error)
		k.log.Warn("proof rejected", "file", c.FileHash, "reason", verdict.Error)
		k.tally.failure(err)
		k.tally.count(func(s *Snapshot) { s.Rejected++ })
		k.drop(c)
		k.holdOff(time.Now())
	}
	if k.cfg.OnHeartbeat != nil {
		k.cfg.OnHeartbeat(verdict)
	}
}
