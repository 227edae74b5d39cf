package queue

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/internal/node"
)

// The counters, fields of one hash that all processes share.
const (
	countProcessed = "processed"
	countLate      = "late"
	countDead      = "dead"
)

// Done takes the jobs out of the queue. It comes last, after their verdicts
// are committed and their replies sent: a worker that dies before it leaves
// them to be judged again, which changes nothing.
func (c *Consumer) Done(ctx context.Context, done ...Delivery) error {
	if len(done) == 0 {
		return nil
	}
	ctx, cancel := c.q.bounded(ctx)
	defer cancel()
	err := c.q.transaction(ctx, func(tx redis.Pipeliner) error {
		c.remove(ctx, tx, countProcessed, done)
		return nil
	})
	return wrap("acknowledge jobs", err)
}

// Expire settles a job whose deadline has passed: it is counted, and whoever
// might still wait is told that nothing was decided.
func (c *Consumer) Expire(ctx context.Context, late ...Delivery) error {
	if len(late) == 0 {
		return nil
	}
	ctx, cancel := c.q.bounded(ctx)
	defer cancel()
	err := c.q.transaction(ctx, func(tx redis.Pipeliner) error {
		for i := range late {
			c.q.reply(ctx, tx, undecided(&late[i].Job))
		}
		c.remove(ctx, tx, countLate, late)
		return nil
	})
	return wrap("settle late jobs", err)
}

// remove acknowledges and deletes in one transaction: an entry that is
// acknowledged but still in the stream would never be delivered again, and
// take up room for ever.
func (c *Consumer) remove(ctx context.Context, tx redis.Pipeliner, counter string, done []Delivery) {
	ids := make([]string, len(done))
	for i := range done {
		ids[i] = done[i].EntryID
	}
	tx.XAck(ctx, c.q.jobsKey(), group, ids...)
	tx.XDel(ctx, c.q.jobsKey(), ids...)
	tx.HIncrBy(ctx, c.q.countersKey(), counter, int64(len(ids)))
}

// undecided is the reply that makes the farmer ask again.
func undecided(j *Job) Reply {
	return Reply{To: j.ReplyTo, Job: j.ID, Outcomes: make([]node.Outcome, len(j.Proofs))}
}

const (
	// handedBack is the consumer that entries are handed back to. It reads
	// nothing, so whoever reclaims next takes them; and the worker that ends
	// has nothing pending and can leave the group.
	handedBack = "handed-back"
	// handedBackIdle is longer than any worker's MinIdle.
	handedBackIdle = 24 * time.Hour
)

// handBack gives entries to another consumer as if they had lain there for
// long. It takes only those that are still with the one that hands them back,
// and takes back the count of a delivery that came to nothing. (XCLAIM itself
// leaves the count alone with JUSTID; miniredis does not. RETRYCOUNT says it
// to both.)
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

// HandBack gives back jobs that were not begun, so that the next Reclaim of
// any worker takes them at once. A delivery that was handed back is not
// counted against the job.
func (c *Consumer) HandBack(ctx context.Context, back ...Delivery) error {
	if len(back) == 0 {
		return nil
	}
	args := make([]any, 0, 4+len(back))
	args = append(args, group, c.name, handedBack, handedBackIdle.Milliseconds())
	for i := range back {
		args = append(args, back[i].EntryID)
	}
	ctx, cancel := c.q.bounded(ctx)
	defer cancel()
	return wrap("hand back jobs", handBack.Run(ctx, c.q.client, []string{c.q.jobsKey()}, args...).Err())
}

// leave takes a consumer out of the group where nothing is pending with it:
// DELCONSUMER would make everybody forget what is.
var leave = redis.NewScript(`
local p = redis.pcall('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2])
if p.err or #p > 0 then
  return 0
end
return redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
`)

// Close leaves the group. Where jobs are still pending with this worker the
// group keeps its name, and others reclaim them after MinIdle.
func (c *Consumer) Close(ctx context.Context) error {
	ctx, cancel := c.q.bounded(ctx)
	defer cancel()
	return wrap("leave the group", leave.Run(ctx, c.q.client, []string{c.q.jobsKey()}, group, c.name).Err())
}

const (
	maxDead        = 1000     // entries that the dead-letter stream keeps, about
	maxDeadPayload = 64 << 10 // bytes that it keeps of each
)

// burial is what the dead-letter stream is told of an entry.
type burial struct {
	delivery Delivery
	payload  []byte
	reason   string
}

// DeadLetter puts a job aside that cannot be judged (the worker panicked over
// it, or it was delivered too often) and tells whoever waits that nothing was
// decided.
func (c *Consumer) DeadLetter(ctx context.Context, d Delivery, reason string) error {
	return c.bury(ctx, burial{delivery: d, payload: appendJob(nil, &d.Job), reason: reason})
}

func (c *Consumer) bury(ctx context.Context, b burial) error {
	ctx, cancel := c.q.bounded(ctx)
	defer cancel()
	err := c.q.transaction(ctx, func(tx redis.Pipeliner) error {
		c.q.reply(ctx, tx, undecided(&b.delivery.Job))
		tx.XAdd(ctx, &redis.XAddArgs{
			Stream: c.q.deadKey(),
			MaxLen: maxDead,
			Approx: true,
			Values: []string{
				"reason", b.reason,
				"entry", b.delivery.EntryID,
				"deliveries", strconv.FormatInt(b.delivery.Deliveries, 10),
				"consumer", c.name,
				jobField, string(b.payload[:min(len(b.payload), maxDeadPayload)]),
			},
		})
		c.remove(ctx, tx, countDead, []Delivery{b.delivery})
		return nil
	})
	return wrap("bury job", err)
}
