package workers

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/queue"
	"github.com/driveshare/downstream-node/internal/store"
)

const (
	// committers is the maximum number of transactions at the same time. One
	// committer can collect jobs during the time in which the other committer waits
	// for the disk.
	committers = 2
	// smallBatch is the number of verdicts at which the work on the rows takes as
	// long as the fixed work of a transaction. A batch with fewer verdicts waits
	// for more verdicts.
	smallBatch = 32
	// smallCommitWait is how long a small batch waits for the commit of another
	// small batch. That commit may wait for a lock.
	smallCommitWait = 50 * time.Millisecond
	// quietPeriod is the time without a new job after which a small batch stops
	// waiting. Under load such a period is rare.
	quietPeriod = time.Millisecond

	firstRetry = 50 * time.Millisecond // pause after a failed commit; doubles after each further failure
	lastRetry  = time.Second
)

func (v *Verifier) commitJobs(ctx context.Context) {
	for {
		b, release := v.nextBatch()
		if len(b.jobs) == 0 {
			return
		}
		v.commit(ctx, b.jobs)
		release()
	}
}

// batch holds the verified jobs of one transaction.
type batch struct {
	jobs     []verifiedJob
	verdicts int
}

func (b *batch) add(j verifiedJob) {
	b.jobs, b.verdicts = append(b.jobs, j), b.verdicts+len(j.verdicts)
}

// nextBatch returns the jobs of the next transaction. The batch is empty if no more
// jobs will come. The caller must call release after the transaction.
func (v *Verifier) nextBatch() (b batch, release func()) {
	v.collecting.Lock() // so that the committers do not share the jobs of one batch
	defer v.collecting.Unlock()
	v.collect(&b)
	return b, v.waitForSmallCommit(&b)
}

// collect waits for a job and adds further jobs until the batch has CommitBatch
// verdicts. It waits up to CommitDelay for jobs that are still being verified.
func (v *Verifier) collect(b *batch) {
	first, ok := <-v.verified
	if !ok {
		return
	}
	b.add(first)
	delay := time.NewTimer(v.cfg.CommitDelay)
	defer delay.Stop()
	for b.verdicts < v.cfg.CommitBatch && (len(v.verified) > 0 || v.inflight.verifying()) {
		select {
		case j, ok := <-v.verified:
			if !ok {
				return
			}
			b.add(j)
		case <-delay.C:
			return
		}
	}
}

// waitForSmallCommit is called before a batch is committed. If the batch is small,
// it waits until no other small batch is being committed, and adds the jobs that
// arrive during the wait. Under load this leads to fewer and larger transactions.
func (v *Verifier) waitForSmallCommit(b *batch) (release func()) {
	limit := time.NewTimer(smallCommitWait)
	defer limit.Stop()
	for 0 < b.verdicts && b.verdicts < smallBatch {
		select {
		case v.smallCommitSlot <- struct{}{}:
			v.waitForQuiet(b)
			return func() { <-v.smallCommitSlot }
		case j, ok := <-v.verified:
			if !ok {
				return func() {}
			}
			b.add(j)
		case <-limit.C:
			return func() {}
		}
	}
	return func() {}
}

// waitForQuiet adds jobs until no job arrives for a quietPeriod or the batch is no
// longer small, but for at most CommitDelay. A single job does not wait, because no
// other farmer is sending proofs.
func (v *Verifier) waitForQuiet(b *batch) {
	if len(b.jobs) == 1 {
		return
	}
	delay, quiet := time.NewTimer(v.cfg.CommitDelay), time.NewTimer(quietPeriod)
	defer delay.Stop()
	defer quiet.Stop()
	for b.verdicts < smallBatch {
		select {
		case j, ok := <-v.verified:
			if !ok {
				return
			}
			b.add(j)
			quiet.Reset(quietPeriod)
		case <-quiet.C:
			return
		case <-delay.C:
			return
		}
	}
}

// committedBatch holds the jobs whose verdicts are stored, and the resulting
// changes to the cached contracts. If a proof was accepted, its contract is deleted
// from the cache. No request needs this copy before the next challenge, and the
// next challenge writes a new copy.
type committedBatch struct {
	jobs     []verifiedJob
	accepted []node.ContractName
	others   []node.Contract
}

// commit stores the verdicts of jobs, and then passes the jobs to finishJobs. If
// the database is unavailable, commit retries until the jobs' deadlines. If the
// database refuses the verdicts, commit commits each job alone, and leaves a job that
// fails alone to commitSuspect. A repeated commit of the same verdicts has no effect.
func (v *Verifier) commit(ctx context.Context, jobs []verifiedJob) {
	for retry := firstRetry; ; retry = min(2*retry, lastRetry) {
		if ctx.Err() != nil {
			return // the drain timeout has passed, so the worker hands the jobs back
		}
		jobs = v.dropLate(ctx, jobs)
		if len(jobs) == 0 {
			return
		}
		err := v.commitOnce(ctx, jobs)
		switch {
		case err == nil, ctx.Err() != nil:
			return
		case errors.Is(err, store.ErrUnavailable):
			v.log.Warn("cannot commit verdicts, retrying", "jobs", len(jobs), "error", err)
			pause(ctx, retry)
		case len(jobs) == 1:
			others := v.commits.Load()
			v.suspects.Go(func() { v.commitSuspect(ctx, jobs, err, others) })
			return
		default:
			// One job causes the error. Commit each job alone to find that job.
			for i := range jobs {
				v.commit(ctx, jobs[i:i+1:i+1])
			}
			return
		}
	}
}

// suspectFailures is the number of times that a job's commit must fail alone before
// the job becomes a dead letter.
const suspectFailures = 3

// commitSuspect commits a job whose commit failed alone with err, when others commits
// had succeeded. A database that works in part may refuse good jobs too. So the job
// becomes a dead letter only if it fails several times and the database stores
// verdicts of other jobs meanwhile. Otherwise commitSuspect retries until the job's
// deadline. Other jobs do not wait for it.
func (v *Verifier) commitSuspect(ctx context.Context, job []verifiedJob, err error, others int64) {
	failures := 1
	for retry := firstRetry; ; retry = min(2*retry, lastRetry) {
		if failures >= suspectFailures && v.commits.Load() > others {
			v.deadLetter(ctx, job[0].delivery, refused, err)
			return
		}
		v.log.Warn("cannot commit the verdicts of a job alone, retrying", "entry", job[0].delivery.EntryID, "error", err)
		pause(ctx, retry)
		if ctx.Err() != nil || len(v.dropLate(ctx, job)) == 0 {
			return
		}
		if err = v.commitOnce(ctx, job); err == nil || ctx.Err() != nil {
			return
		}
		if !errors.Is(err, store.ErrUnavailable) {
			failures++
		}
	}
}

// commitOnce commits the verdicts of jobs once. If that succeeds, it passes the jobs
// to finishJobs.
func (v *Verifier) commitOnce(ctx context.Context, jobs []verifiedJob) error {
	start := v.now()
	c, err := v.apply(ctx, jobs)
	if err != nil {
		return err
	}
	faultPoint("committed")
	v.metrics.commit.Observe(v.now().Sub(start).Seconds())
	v.committed <- c
	return nil
}

// dropLate settles the jobs whose deadline has passed, and returns the other jobs.
// A late job is not judged, because its farmer would not receive the verdict.
func (v *Verifier) dropLate(ctx context.Context, jobs []verifiedJob) (inTime []verifiedJob) {
	now := v.now()
	var late []queue.Delivery
	for _, j := range jobs {
		if j.late || j.delivery.Job.Late(now) {
			late = append(late, j.delivery)
			continue
		}
		inTime = append(inTime, j)
	}
	if len(late) > 0 {
		v.metrics.countUnjudged(queue.Late, len(late))
		if err := v.consumer.Expire(ctx, late...); err != nil {
			v.log.Warn("cannot settle late jobs, they will be delivered again", "jobs", len(late), "error", err)
		}
		v.inflight.release(late...)
	}
	return inTime
}

// apply commits the verdicts of jobs in one transaction and sets the outcomes in
// the jobs.
func (v *Verifier) apply(ctx context.Context, jobs []verifiedJob) (committedBatch, error) {
	c := committedBatch{jobs: jobs}
	n := 0
	for _, j := range jobs {
		n += len(j.verdicts)
	}
	if n == 0 {
		return c, nil
	}
	verdicts := make([]store.Verdict, 0, n)
	for _, j := range jobs {
		verdicts = append(verdicts, j.verdicts...)
	}
	judged, err := v.store.Commit(ctx, verdicts, v.wrongAnswers)
	if err != nil {
		return committedBatch{}, err
	}
	v.commits.Add(1)
	c.accepted = make([]node.ContractName, 0, n)
	for _, j := range jobs {
		for i, at := range j.at {
			j.outcomes[at] = v.certain(judged[i].Outcome, &judged[i].Contract)
			c.add(&judged[i])
		}
		judged = judged[len(j.at):]
	}
	return c, nil
}

func (c *committedBatch) add(j *store.Judged) {
	switch j.Outcome {
	case node.ContractNotFound:
	case node.OK:
		c.accepted = append(c.accepted, j.Contract.Name())
	default:
		c.others = append(c.others, j.Contract)
	}
}

// finishJobs updates the cached contracts, sends the replies and acknowledges the
// jobs, in this order. The next batch is committed at the same time.
func (v *Verifier) finishJobs(ctx context.Context) {
	for c := range v.committed {
		v.contracts.Share(ctx, c.others)
		v.contracts.Forget(ctx, c.accepted) // after Share, because c.others may contain older versions of these contracts
		v.reply(ctx, c.jobs)
	}
}

// reply sends the replies and then acknowledges the jobs. If a reply cannot be
// sent, the API replica reads the verdict from the store.
func (v *Verifier) reply(ctx context.Context, jobs []verifiedJob) {
	replies := make([]queue.Reply, len(jobs))
	deliveries := make([]queue.Delivery, len(jobs))
	for i, j := range jobs {
		replies[i] = queue.Reply{Job: j.delivery.Job.ID, To: j.delivery.Job.ReplyTo, Outcomes: j.outcomes}
		deliveries[i] = j.delivery
		for _, outcome := range j.outcomes {
			v.metrics.verdicts.WithLabelValues(outcome.String()).Inc()
		}
		if slices.Contains(j.outcomes, node.Undecided) {
			v.metrics.countUnjudged(undecided, 1)
		}
	}
	start := v.now()
	if err := v.queue.Reply(ctx, replies...); err != nil {
		v.log.Warn("cannot reply", "jobs", len(jobs), "error", err)
	}
	faultPoint("replied")
	v.metrics.reply.Observe(v.now().Sub(start).Seconds())
	if err := v.consumer.Done(ctx, deliveries...); err != nil {
		v.log.Warn("cannot acknowledge jobs, they will be delivered again", "jobs", len(jobs), "error", err)
	}
	faultPoint("acknowledged")
	v.inflight.release(deliveries...)
}
