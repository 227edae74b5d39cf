package workers

import (
	"context"
	"errors"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/queue"
	"github.com/driveshare/downstream-node/internal/store"
)

const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = time.Second
)

// committed is a batch whose verdicts are stored, and what that means to the
// copies of the contracts. One that was answered is of no use before its next
// challenge, which brings a new one along: it is forgotten, which costs less
// than to write what nobody reads. The others are shared as they are now.
type committed struct {
	batch    []ballot
	answered []node.ContractName
	others   []node.Contract
}

// commit stores the verdicts of a batch and passes it on. While the store
// cannot be reached it tries again, for as long as anybody waits for the
// verdicts: applying them twice, after a commit whose outcome is unknown,
// changes nothing.
func (v *Verifier) commit(ctx context.Context, batch []ballot) {
	for retry := firstRetry; ; retry = min(2*retry, lastRetry) {
		if ctx.Err() != nil {
			return // the shutdown's time is up: the jobs are handed back
		}
		batch = v.dropLate(ctx, batch)
		if len(batch) == 0 {
			return
		}
		start := v.now()
		c, err := v.apply(ctx, batch)
		switch {
		case err == nil:
			faultPoint("committed")
			v.metrics.commit.Observe(v.now().Sub(start).Seconds())
			v.committed <- c
			return
		case ctx.Err() != nil:
			return
		case errors.Is(err, store.ErrUnavailable):
			v.log.Warn("cannot commit verdicts, trying again", "jobs", len(batch), "error", err)
			pause(ctx, retry)
		case len(batch) == 1:
			v.bury(ctx, batch[0].delivery, err)
			return
		default:
			// One of them is at fault: let the others pass.
			for _, b := range batch {
				v.commit(ctx, []ballot{b})
			}
			return
		}
	}
}

// dropLate acknowledges the jobs that nobody waits for any more. They are not
// judged: what is told to no one must not count either.
func (v *Verifier) dropLate(ctx context.Context, batch []ballot) []ballot {
	now := v.now()
	var kept []ballot
	var late []queue.Delivery
	for _, b := range batch {
		if b.late || b.delivery.Job.Late(now) {
			late = append(late, b.delivery)
			continue
		}
		kept = append(kept, b)
	}
	if len(late) > 0 {
		v.metrics.late.Add(float64(len(late)))
		if err := v.consumer.Expire(ctx, late...); err != nil {
			v.log.Warn("cannot settle late jobs, they will be delivered again", "jobs", len(late), "error", err)
		}
		v.hand.letGo(late...)
	}
	return kept
}

// apply runs the one transaction for the batch and fills in the outcomes.
func (v *Verifier) apply(ctx context.Context, batch []ballot) (committed, error) {
	c := committed{batch: batch}
	n := 0
	for _, b := range batch {
		n += len(b.verdicts)
	}
	if n == 0 {
		return c, nil
	}
	verdicts := make([]store.Verdict, 0, n)
	for _, b := range batch {
		verdicts = append(verdicts, b.verdicts...)
	}
	judged, err := v.store.Commit(ctx, verdicts, v.opt.WrongAnswers)
	if err != nil {
		return committed{}, err
	}
	c.answered = make([]node.ContractName, 0, n)
	for _, b := range batch {
		for i, at := range b.at {
			b.outcomes[at] = judged[i].Outcome
			c.add(&judged[i])
		}
		judged = judged[len(b.at):]
	}
	return c, nil
}

func (c *committed) add(j *store.Judged) {
	switch j.Outcome {
	case node.ContractNotFound:
	case node.OK:
		c.answered = append(c.answered, j.Contract.Name())
	default:
		c.others = append(c.others, j.Contract)
	}
}

// tellCommitted sets the copies right, tells of what was committed, and
// acknowledges the jobs, in this order, while the next are committed.
func (v *Verifier) tellCommitted(ctx context.Context) {
	for c := range v.committed {
		v.share(ctx, c.others)
		v.forget(ctx, c.answered) // some of them are among the others, as they were before
		v.tell(ctx, c.batch)
	}
}

// tell sends the replies, and acknowledges the jobs last. Where a reply cannot
// be sent, the API replica finds the verdict in the store.
func (v *Verifier) tell(ctx context.Context, batch []ballot) {
	replies := make([]queue.Reply, len(batch))
	deliveries := make([]queue.Delivery, len(batch))
	for i, b := range batch {
		replies[i] = queue.Reply{Job: b.delivery.Job.ID, To: b.delivery.Job.ReplyTo, Outcomes: b.outcomes}
		deliveries[i] = b.delivery
		for _, outcome := range b.outcomes {
			v.metrics.verdicts.WithLabelValues(outcome.String()).Inc()
		}
	}
	start := v.now()
	if err := v.queue.Reply(ctx, replies...); err != nil {
		v.log.Warn("cannot reply", "jobs", len(batch), "error", err)
	}
	faultPoint("replied")
	v.metrics.reply.Observe(v.now().Sub(start).Seconds())
	v.done(ctx, deliveries)
}

func (v *Verifier) done(ctx context.Context, deliveries []queue.Delivery) {
	if err := v.consumer.Done(ctx, deliveries...); err != nil {
		v.log.Warn("cannot acknowledge jobs, they will be delivered again", "jobs", len(deliveries), "error", err)
	}
	faultPoint("acknowledged")
	v.hand.letGo(deliveries...)
}
