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
	// MinIdle is the time for which another worker must have held an entry before
	// Reclaim takes it. It must be more than twice a job's hard limit. The default
	// is a minute.
	MinIdle time.Duration
	// MaxDeliveries is the number of deliveries after which an entry becomes a dead
	// letter. The default is 5.
	MaxDeliveries int64
	// Block is how long Read waits for the first job. A worker therefore needs up
	// to Block to notice a shutdown. The default is one second.
	Block time.Duration
}

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

// Reclaim returns up to n jobs that a worker has held for MinIdle or has handed
// back. It scans all pending entries. Like Read, it settles entries that must not
// be judged. It also settles entries that were delivered too often. It does not
// stop when ctx ends.
func (c *Consumer) Reclaim(ctx context.Context, n int) ([]Delivery, error) {
	if err := ctx.Err(); err != nil || n < 1 {
		return nil, err
	}
	ctx, cancel := c.q.db.Bound(context.WithoutCancel(ctx))
	defer cancel()
	var claimed []Delivery
	for cursor := "0-0"; len(claimed) < n; {
		more, next, err := c.reclaim(ctx, cursor, n-len(claimed))
		if err != nil && len(claimed) == 0 {
			return nil, redisdb.Wrap("reclaim jobs", err)
		}
		claimed = append(claimed, more...)
		if cursor = next; err != nil || cursor == "0-0" {
			break // after an error, return the jobs that were claimed before the error
		}
	}
	return claimed, nil
}

// reclaim does one step of the scan, from cursor to next. The cursor 0-0 is both
// the start and the end.
func (c *Consumer) reclaim(ctx context.Context, cursor string, n int) (claimed []Delivery, next string, err error) {
	messages, next, err := c.q.db.Client.XAutoClaim(ctx, &redis.XAutoClaimArgs{
		Stream:   c.q.jobsKey(),
		Group:    group,
		Consumer: c.name,
		MinIdle:  c.o.MinIdle,
		Start:    cursor,
		Count:    int64(n),
	}).Result()
	if noGroup(err) {
		return nil, "0-0", nil // no job has ever been delivered
	}
	if err != nil {
		return nil, "", err
	}
	// If this call fails, the consumer has claimed entries that it does not return.
	// They are reclaimed again after MinIdle.
	deliveries, err := c.deliveries(ctx, messages)
	if err != nil {
		return nil, "", err
	}
	return c.accept(ctx, messages, func(i int) int64 { return deliveries[i] }), next, nil
}

// deliveries reads how often each message was delivered. XAUTOCLAIM counts the
// deliveries but does not return the count.
func (c *Consumer) deliveries(ctx context.Context, messages []redis.XMessage) ([]int64, error) {
	if len(messages) == 0 {
		return nil, nil
	}
	cmds := make([]*redis.XPendingExtCmd, len(messages))
	_, err := c.q.db.Client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, m := range messages {
			cmds[i] = pipe.XPendingExt(ctx, &redis.XPendingExtArgs{
				Stream: c.q.jobsKey(), Group: group, Start: m.ID, End: m.ID, Count: 1,
			})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	counts := make([]int64, len(messages))
	for i, cmd := range cmds {
		if pending := cmd.Val(); len(pending) > 0 {
			counts[i] = pending[0].RetryCount
		}
	}
	return counts, nil
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
			_ = c.deadLetter(ctx, d, []byte(payload), err.Error()) // errors are counted by settle
			continue
		}
		switch {
		case d.Deliveries > c.o.MaxDeliveries:
			_ = c.DeadLetter(ctx, d, fmt.Sprintf("delivered %d times", d.Deliveries))
		case d.Job.Late(c.q.db.Now()):
			_ = c.Expire(ctx, d)
		default:
			accepted = append(accepted, d)
		}
	}
	return accepted
}
