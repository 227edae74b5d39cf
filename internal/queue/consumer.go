package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/internal/redisdb"
)

// group is the consumer group of all workers.
const group = "workers"

// ConsumerOptions configure how a worker reads jobs. In each field, 0 means the
// default.
type ConsumerOptions struct {
	// MinIdle is the time for which a worker that is alive must have held an entry
	// before Reclaim takes it. It must be more than twice a job's hard limit. The
	// default is a minute.
	MinIdle time.Duration
	// MaxDeliveries is the number of deliveries after which an entry becomes a dead
	// letter. The default is 5.
	MaxDeliveries int64
	// Block is how long Read waits for the first job. A worker therefore needs up
	// to Block to notice a shutdown. The default is one second.
	Block time.Duration
	// Dropped is called for each entry that Read or Reclaim settles because it must
	// not be judged. The default does nothing.
	Dropped func(Reason)
}

// Reason is why a job ended without a verdict.
type Reason string

// The reasons why Read and Reclaim settle an entry.
const (
	Late       Reason = "late"       // its deadline has passed
	Malformed  Reason = "malformed"  // it cannot be parsed
	Deliveries Reason = "deliveries" // it was delivered more than MaxDeliveries times
)

// Consumer is one worker's membership in the group. It is safe for concurrent
// use.
type Consumer struct {
	q    *Queue
	name string
	o    ConsumerOptions
}

// Delivery is a job that a worker has read. The worker holds the job until it calls
// Done, Expire, HandBack or DeadLetter, or until another worker reclaims the job.
type Delivery struct {
	Job        Job
	EntryID    string
	Deliveries int64 // number of deliveries of the job, including this delivery
}

// NewConsumer adds a worker to the group. The name must be unique.
func (q *Queue) NewConsumer(name string, o ConsumerOptions) *Consumer {
	o.MinIdle = cmp.Or(o.MinIdle, time.Minute)
	o.MaxDeliveries = cmp.Or(o.MaxDeliveries, 5)
	o.Block = cmp.Or(o.Block, time.Second)
	if o.Dropped == nil {
		o.Dropped = func(Reason) {}
	}
	return &Consumer{q: q, name: name, o: o}
}

// Read returns up to n new jobs. If there are none, it waits for at most Block.
// If ctx ends during a read, the read continues and its jobs are returned, so that
// no delivered job is lost. Some entries must not be judged, because they are
// malformed or late. Read settles these entries and does not return them.
func (c *Consumer) Read(ctx context.Context, n int) ([]Delivery, error) {
	if err := ctx.Err(); err != nil || n < 1 {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.o.Block+c.q.db.Timeout())
	defer cancel()
	messages, err := c.readNew(ctx, n)
	if noGroup(err) {
		// Redis is new or was flushed. The group starts at 0, so that it includes
		// jobs that were added before the group was created.
		if err := c.createGroup(ctx); err != nil {
			return nil, err
		}
		messages, err = c.readNew(ctx, n)
	}
	if err != nil {
		return nil, redisdb.Wrap("read jobs", err)
	}
	return c.accept(ctx, messages, func(int) int64 { return 1 }), nil
}

func (c *Consumer) readNew(ctx context.Context, n int) ([]redis.XMessage, error) {
	streams, err := c.q.db.Client.XReadGroup(ctx, &redis.XReadGroupArgs{
		Group:    group,
		Consumer: c.name,
		Streams:  []string{c.q.jobsKey(), ">"},
		Count:    int64(n),
		Block:    c.o.Block,
	}).Result()
	if err == redis.Nil || len(streams) == 0 {
		return nil, redisdb.IgnoreNil(err)
	}
	return streams[0].Messages, err
}

// noGroup reports whether the stream of jobs or its group does not exist: Redis
// is new or was flushed.
func noGroup(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) &&
		(strings.HasPrefix(reply.Error(), "NOGROUP ") || strings.HasPrefix(reply.Error(), "UNBLOCKED "))
}

func (c *Consumer) createGroup(ctx context.Context) error {
	err := c.q.db.Client.XGroupCreateMkStream(ctx, c.q.jobsKey(), group, "0").Err()
	if err != nil && strings.HasPrefix(err.Error(), "BUSYGROUP ") {
		return nil // another worker created it first
	}
	return redisdb.Wrap("create the consumer group", err)
}

// Reclaim returns up to n jobs of workers that have died, that hold a job for longer
// than MinIdle, or that handed back their jobs. If there are none, it costs one round
// trip. Like Read, it settles entries that must not be judged. It also settles
// entries that were delivered too often. It does not stop when ctx ends.
func (c *Consumer) Reclaim(ctx context.Context, n int) ([]Delivery, error) {
	if err := ctx.Err(); err != nil || n < 1 {
		return nil, err
	}
	ctx, cancel := c.q.db.Bound(context.WithoutCancel(ctx))
	defer cancel()
	holders, err := findHolders.Run(ctx, c.q.db.Client, []string{c.q.jobsKey()},
		group, c.name, c.q.aliveKey(""), c.o.MinIdle.Milliseconds(), forgetAfter.Milliseconds()).StringSlice()
	if err != nil {
		return nil, redisdb.Wrap("look for jobs to reclaim", err)
	}
	var claimed []Delivery
	for _, holder := range holders {
		minIdle := deadIdle
		if holder == "" {
			minIdle = c.o.MinIdle
		}
		for len(claimed) < n {
			jobs, more, err := c.claim(ctx, holder, minIdle, n-len(claimed))
			if err != nil && len(claimed) == 0 {
				return nil, redisdb.Wrap("reclaim jobs", err)
			}
			claimed = append(claimed, jobs...)
			if err != nil || !more {
				break // after an error, return the jobs that were claimed before the error
			}
		}
	}
	return claimed, nil
}

// findHolders returns the consumers whose jobs the caller must claim: the dead
// consumers that hold jobs. A consumer is dead if its liveness key does not exist.
// The empty name means that any consumer holds a job for longer than MinIdle. The
// script also removes the dead consumers that hold no job and were idle for long,
// because killed workers cannot leave the group.
var findHolders = redis.NewScript(`
local found = {}
local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
if consumers.err then
  return found
end
for _, fields in ipairs(consumers) do
  local c = {}
  for i = 1, #fields, 2 do
    c[fields[i]] = fields[i + 1]
  end
  if c.name ~= ARGV[2] and redis.call('EXISTS', ARGV[3] .. c.name) == 0 then
    if c.pending > 0 then
      found[#found + 1] = c.name
    elseif c.idle > tonumber(ARGV[5]) then
      redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], c.name)
    end
  end
end
if #redis.call('XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[4], '-', '+', 1) > 0 then
  found[#found + 1] = ''
end
return found
`)

// claim claims up to n entries that holder, or any consumer if holder is empty, has
// held for minIdle. more is false if no such entry is left. If two workers claim an
// entry, only the first gets it, because a claim resets the idle time.
func (c *Consumer) claim(ctx context.Context, holder string, minIdle time.Duration, n int) (jobs []Delivery, more bool, err error) {
	pending, err := c.q.db.Client.XPendingExt(ctx, &redis.XPendingExtArgs{
		Stream: c.q.jobsKey(), Group: group, Consumer: holder, Idle: minIdle, Start: "-", End: "+", Count: int64(n),
	}).Result()
	if noGroup(err) || len(pending) == 0 && err == nil {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	ids := make([]string, len(pending))
	deliveries := make(map[string]int64, len(pending))
	for i, p := range pending {
		ids[i] = p.ID
		deliveries[p.ID] = p.RetryCount + 1
	}
	messages, err := c.q.db.Client.XClaim(ctx, &redis.XClaimArgs{
		Stream: c.q.jobsKey(), Group: group, Consumer: c.name, MinIdle: minIdle, Messages: ids,
	}).Result()
	if err != nil {
		return nil, false, err
	}
	jobs = c.accept(ctx, messages, func(i int) int64 { return deliveries[messages[i].ID] })
	return jobs, len(pending) == n, nil
}

const (
	// aliveEvery is how often a worker renews its liveness key, and aliveTTL is how
	// long the key exists after that. A dead worker is therefore noticed within
	// aliveTTL.
	aliveEvery = time.Second
	aliveTTL   = 3 * time.Second
	// deadIdle is the time for which a dead worker must have held an entry. When its
	// key expires, it has held all its entries for at least this time. So deadIdle
	// delays no job of a dead worker. It protects workers of older versions, which
	// have no key, during a rolling upgrade.
	deadIdle = aliveTTL - aliveEvery
	// forgetAfter is how long a dead consumer without entries stays in the group.
	forgetAfter = time.Hour
)

// KeepAlive renews the worker's liveness key until ctx ends. While the key exists,
// other workers take over only the jobs that this worker has held for MinIdle. The
// caller must end KeepAlive before it calls Close.
func (c *Consumer) KeepAlive(ctx context.Context) {
	ticker := time.NewTicker(aliveEvery)
	defer ticker.Stop()
	for ctx.Err() == nil {
		call, cancel := c.q.db.Bound(ctx)
		_ = c.q.db.Client.Set(call, c.q.aliveKey(c.name), "", aliveTTL).Err() // the next attempt follows; without Redis there are no jobs
		cancel()
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

// accept parses delivered messages and settles the messages that must not be
// judged. If settling fails, the entry stays pending and Reclaim finds it again.
func (c *Consumer) accept(ctx context.Context, messages []redis.XMessage, deliveries func(int) int64) []Delivery {
	accepted := make([]Delivery, 0, len(messages))
	for i, m := range messages {
		payload, _ := m.Values[jobField].(string)
		d := Delivery{EntryID: m.ID, Deliveries: deliveries(i)}
		var err error
		if d.Job, err = parseJob([]byte(payload)); err != nil {
			c.o.Dropped(Malformed)
			_ = c.deadLetter(ctx, d, []byte(payload), err.Error()) // errors are counted by settle
			continue
		}
		switch {
		case d.Deliveries > c.o.MaxDeliveries:
			c.o.Dropped(Deliveries)
			_ = c.DeadLetter(ctx, d, fmt.Sprintf("delivered %d times", d.Deliveries))
		case d.Job.Late(c.q.db.Now()):
			c.o.Dropped(Late)
			_ = c.Expire(ctx, d)
		default:
			accepted = append(accepted, d)
		}
	}
	return accepted
}
