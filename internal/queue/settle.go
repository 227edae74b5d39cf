package queue

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/redisdb"
)

// The names of the counters, which all processes share.
const (
	countProcessed = "processed"
	countLate      = "late"
	countDead      = "dead"
)

// Done acknowledges and deletes jobs. The caller must call it last, after the
// commit and the reply. If a worker dies before Done, the jobs are judged again,
// which changes nothing.
func (c *Consumer) Done(ctx context.Context, done ...Delivery) error {
	return c.settle(ctx, "acknowledge jobs", countProcessed, done, nil)
}

// Expire settles jobs whose deadline has passed. Their reply is "undecided".
func (c *Consumer) Expire(ctx context.Context, late ...Delivery) error {
	return c.settle(ctx, "settle late jobs", countLate, late, func(ctx context.Context, tx redis.Pipeliner) {
		c.q.replyUndecided(ctx, tx, late)
	})
}

// The limits of the dead-letter stream. Together they limit its memory. Every job of
// an API replica is smaller than maxDeadPayload, so that a retry has the whole job.
const (
	maxDead        = 256     // maximum number of entries, approximately
	maxDeadPayload = 1 << 20 // maximum number of bytes of each dead letter
)

// DeadLetter settles a job that cannot be judged because the worker panicked or the
// job was delivered too often. Its reply is "undecided".
func (c *Consumer) DeadLetter(ctx context.Context, d Delivery, reason string) error {
	return c.deadLetter(ctx, d, appendJob(nil, &d.Job), reason)
}

func (c *Consumer) deadLetter(ctx context.Context, d Delivery, payload []byte, reason string) error {
	dead := []Delivery{d}
	return c.settle(ctx, "add dead letter", countDead, dead, func(ctx context.Context, tx redis.Pipeliner) {
		c.q.replyUndecided(ctx, tx, dead)
		tx.XAdd(ctx, &redis.XAddArgs{
			Stream: c.q.deadKey(),
			MaxLen: maxDead,
			Approx: true,
			Values: []string{
				"reason", reason,
				"entry", d.EntryID,
				"deliveries", strconv.FormatInt(d.Deliveries, 10),
				"consumer", c.name,
				jobField, string(payload[:min(len(payload), maxDeadPayload)]),
			},
		})
	})
}

// settle acknowledges and deletes jobs in one transaction, after the commands that
// before adds. If an entry were acknowledged but not deleted, it would never be
// delivered again and would take up room forever. If settling fails, the jobs are
// delivered again. settle counts such failures.
func (c *Consumer) settle(ctx context.Context, doing, counter string, jobs []Delivery, before func(context.Context, redis.Pipeliner)) error {
	if len(jobs) == 0 {
		return nil
	}
	ids := make([]string, len(jobs))
	for i := range jobs {
		ids[i] = jobs[i].EntryID
	}
	ctx, cancel := c.q.db.Bound(ctx)
	defer cancel()
	err := c.q.db.Transaction(ctx, func(tx redis.Pipeliner) error {
		if before != nil {
			before(ctx, tx)
		}
		tx.XAck(ctx, c.q.jobsKey(), group, ids...)
		tx.XDel(ctx, c.q.jobsKey(), ids...)
		tx.HIncrBy(ctx, c.q.countersKey(), counter, int64(len(ids)))
		return nil
	})
	if err != nil {
		c.q.unsettled.Add(int64(len(jobs)))
	}
	return redisdb.Wrap(doing, err)
}

// replyUndecided replies "undecided" to the jobs, so that their farmers send the
// proofs again.
func (q *Queue) replyUndecided(ctx context.Context, tx redis.Pipeliner, jobs []Delivery) {
	for i := range jobs {
		j := &jobs[i].Job
		q.addReplies(ctx, tx, Reply{To: j.ReplyTo, Job: j.ID, Outcomes: make([]node.Outcome, len(j.Proofs))})
	}
}

const (
	// handedBack is the name of a consumer that receives the entries that workers
	// hand back. This consumer has no liveness key, so the next Reclaim takes its
	// entries.
	// A worker that ends then has no pending entries and can leave the group.
	handedBack = "handed-back"
	// handedBackIdle is the idle time of these entries. It is longer than deadIdle,
	// so that the next Reclaim takes the entries, and longer than any MinIdle of older
	// versions.
	handedBackIdle = 24 * time.Hour
)

// handBack gives entries to another consumer and sets a long idle time. It takes
// only entries that are still pending for the caller, and does not count the
// delivery. (In Redis, XCLAIM with JUSTID does not count the delivery either, but
// in miniredis it does. RETRYCOUNT works in both.)
var handBack = redis.NewScript(`
local given = 0
for i = 5, #ARGV do
  local p = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)
  if not p.err and p[1] and p[1][2] == ARGV[2] then
    local count = math.max(p[1][4] - 1, 0)
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[3], 0, ARGV[i],
      'IDLE', ARGV[4], 'RETRYCOUNT', count, 'JUSTID')
    given = given + 1
  end
end
return given
`)

// HandBack returns jobs that the worker has not finished. The next Reclaim of any
// worker takes these jobs immediately. This delivery does not count.
func (c *Consumer) HandBack(ctx context.Context, back ...Delivery) error {
	if len(back) == 0 {
		return nil
	}
	args := make([]any, 0, 4+len(back))
	args = append(args, group, c.name, handedBack, handedBackIdle.Milliseconds())
	for i := range back {
		args = append(args, back[i].EntryID)
	}
	ctx, cancel := c.q.db.Bound(ctx)
	defer cancel()
	return redisdb.Wrap("hand back jobs", handBack.Run(ctx, c.q.db.Client, []string{c.q.jobsKey()}, args...).Err())
}

// leaveGroup deletes the consumer's liveness key, and deletes the consumer from the
// group if it has no pending entries. DELCONSUMER would drop its pending entries from
// the group.
var leaveGroup = redis.NewScript(`
redis.call('DEL', KEYS[2])
local p = redis.pcall('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2])
if p.err or #p > 0 then
  return 0
end
return redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
`)

// Close leaves the group. If this worker has pending jobs, it stays in the group, and
// other workers reclaim the jobs as those of a dead worker.
func (c *Consumer) Close(ctx context.Context) error {
	ctx, cancel := c.q.db.Bound(ctx)
	defer cancel()
	return redisdb.Wrap("leave the consumer group", leaveGroup.Run(ctx, c.q.db.Client,
		[]string{c.q.jobsKey(), c.q.aliveKey(c.name)}, group, c.name).Err())
}
