package queue

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// group is the one consumer group that all workers belong to.
const group = "workers"

// ConsumerOptions say how a worker takes jobs.
type ConsumerOptions struct {
	// MinIdle is how long an entry must have lain with another worker before
	// Reclaim takes it: more than twice a job's hard limit.
	MinIdle time.Duration
	// MaxDeliveries is how often an entry is delivered before it is dead.
	MaxDeliveries int64
	// Block is how long Read waits where there is nothing to read, and so how
	// long a worker that is asked to end may take to notice.
	Block time.Duration
}

// The defaults of ConsumerOptions.
const (
	DefaultMinIdle       = time.Minute
	DefaultMaxDeliveries = 5
	DefaultBlock         = time.Second
)

// Consumer is one worker's place in the group. It is safe for concurrent use.
type Consumer struct {
	q    *Queue
	name string
	o    ConsumerOptions
}

// Delivery is a job in a worker's hand. It stays the worker's until Done,
// HandBack or DeadLetter, or until it has lain for longer than MinIdle.
type Delivery struct {
	Job        Job
	EntryID    string
	Deliveries int64 // how often it was delivered, this time included
}

// NewConsumer makes the worker known by name, which no other may use.
func (q *Queue) NewConsumer(name string, o ConsumerOptions) *Consumer {
	if o.MinIdle <= 0 {
		o.MinIdle = DefaultMinIdle
	}
	if o.MaxDeliveries <= 0 {
		o.MaxDeliveries = DefaultMaxDeliveries
	}
	if o.Block < time.Millisecond {
		o.Block = DefaultBlock // 0 would wait without end
	}
	return &Consumer{q: q, name: name, o: o}
}

// Read gives up to n jobs that nobody was given before, and waits for at
// most Block where there are none. A read that has begun is not broken off
// when ctx ends: what it brings is returned, so that nothing is delivered
// that nobody has in hand. Entries that are not to be judged (undecodable,
// late) are settled on the way and not returned.
func (c *Consumer) Read(ctx context.Context, n int) ([]Delivery, error) {
	if err := ctx.Err(); err != nil || n < 1 {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.o.Block+c.q.timeout)
	defer cancel()
	messages, err := c.readNew(ctx, n)
	if noGroup(err) {
		// Flushed, or never used. From 0, so that jobs that were added
		// before the group was made are not passed over.
		if err := c.makeGroup(ctx); err != nil {
			return nil, err
		}
		messages, err = c.readNew(ctx, n)
	}
	if err != nil {
		return nil, wrap("read jobs", err)
	}
	return c.take(ctx, messages, func(int) int64 { return 1 }), nil
}

func (c *Consumer) readNew(ctx context.Context, n int) ([]redis.XMessage, error) {
	streams, err := c.q.client.XReadGroup(ctx, &redis.XReadGroupArgs{
		Group:    group,
		Consumer: c.name,
		Streams:  []string{c.q.jobsKey(), ">"},
		Count:    int64(n),
		Block:    c.o.Block,
	}).Result()
	if err == redis.Nil || len(streams) == 0 {
		return nil, ignoreNil(err)
	}
	return streams[0].Messages, err
}

func (c *Consumer) makeGroup(ctx context.Context) error {
	err := c.q.client.XGroupCreateMkStream(ctx, c.q.jobsKey(), group, "0").Err()
	if err != nil && strings.HasPrefix(err.Error(), "BUSYGROUP ") {
		return nil // another worker was faster
	}
	return wrap("make the group", err)
}

// Reclaim gives up to n jobs that some worker was given and has not done for
// MinIdle, or has handed back. It looks through all that is pending. Entries
// that are not to be judged are settled as by Read, and so are those that were
// delivered too often. Like a read it is not broken off when ctx ends.
func (c *Consumer) Reclaim(ctx context.Context, n int) ([]Delivery, error) {
	if err := ctx.Err(); err != nil || n < 1 {
		return nil, err
	}
	ctx, cancel := c.q.bounded(context.WithoutCancel(ctx))
	defer cancel()
	var taken []Delivery
	for cursor := "0-0"; len(taken) < n; {
		more, next, err := c.reclaim(ctx, cursor, n-len(taken))
		if err != nil && len(taken) == 0 {
			return nil, wrap("reclaim jobs", err)
		}
		taken = append(taken, more...)
		if cursor = next; err != nil || cursor == "0-0" {
			break // an error does not lose what is in hand already
		}
	}
	return taken, nil
}

// reclaim does one step, from cursor to next; 0-0 is both begin and end.
func (c *Consumer) reclaim(ctx context.Context, cursor string, n int) (taken []Delivery, next string, err error) {
	messages, next, err := c.q.client.XAutoClaim(ctx, &redis.XAutoClaimArgs{
		Stream:   c.q.jobsKey(),
		Group:    group,
		Consumer: c.name,
		MinIdle:  c.o.MinIdle,
		Start:    cursor,
		Count:    int64(n),
	}).Result()
	if noGroup(err) {
		return nil, "0-0", nil // nothing was ever given to anybody
	}
	if err != nil {
		return nil, "", err
	}
	// Where this fails they are ours and not in hand: they wait once more.
	deliveries, err := c.deliveries(ctx, messages)
	if err != nil {
		return nil, "", err
	}
	return c.take(ctx, messages, func(i int) int64 { return deliveries[i] }), next, nil
}

// deliveries asks how often each message was delivered: XAUTOCLAIM counts it
// up but does not tell.
func (c *Consumer) deliveries(ctx context.Context, messages []redis.XMessage) ([]int64, error) {
	if len(messages) == 0 {
		return nil, nil
	}
	asked := make([]*redis.XPendingExtCmd, len(messages))
	_, err := c.q.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, m := range messages {
			asked[i] = pipe.XPendingExt(ctx, &redis.XPendingExtArgs{
				Stream: c.q.jobsKey(), Group: group, Start: m.ID, End: m.ID, Count: 1,
			})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	counts := make([]int64, len(messages))
	for i, cmd := range asked {
		if pending := cmd.Val(); len(pending) > 0 {
			counts[i] = pending[0].RetryCount
		}
	}
	return counts, nil
}

// take parses what was delivered and settles what is not to be judged. Where
// settling fails the entry stays pending, and Reclaim meets it again.
func (c *Consumer) take(ctx context.Context, messages []redis.XMessage, deliveries func(int) int64) []Delivery {
	taken := make([]Delivery, 0, len(messages))
	for i, m := range messages {
		payload, _ := m.Values[jobField].(string)
		d := Delivery{EntryID: m.ID, Deliveries: deliveries(i)}
		var err error
		if d.Job, err = parseJob([]byte(payload)); err != nil {
			_ = c.bury(ctx, burial{delivery: d, payload: []byte(payload), reason: err.Error()})
			continue
		}
		switch {
		case d.Deliveries > c.o.MaxDeliveries:
			_ = c.DeadLetter(ctx, d, fmt.Sprintf("delivered %d times", d.Deliveries))
		case d.Job.Late(c.q.now()):
			_ = c.Expire(ctx, d)
		default:
			taken = append(taken, d)
		}
	}
	return taken
}

// ignoreNil takes the answer "nothing" for what it is: no error.
func ignoreNil(err error) error {
	if err == redis.Nil {
		return nil
	}
	return err
}
