package queue

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Stats is how the queue stands.
type Stats struct {
	Length  int64 // jobs that wait or are under way: the backlog
	Lag     int64 // those that no worker was given yet
	Pending int64 // those that a worker was given

	// OldestWaiting is the age of the oldest job of the backlog.
	OldestWaiting time.Duration

	// DeadLetters is how many the dead-letter stream holds.
	DeadLetters int64

	// Totals of all workers since Redis was last empty. A transaction that
	// was sent twice is counted twice.
	Processed int64
	Late      int64
	Dead      int64
}

// Stats asks how the queue stands.
//
// The lag that Redis keeps itself is not asked for: it is unknown as soon as
// entries were deleted, as they are here when they are done, and miniredis
// gives the length for it. What was not delivered is what is left of the
// length without the pending.
func (q *Queue) Stats(ctx context.Context) (Stats, error) {
	ctx, cancel := q.bounded(ctx)
	defer cancel()
	pipe := q.client.Pipeline()
	length := pipe.XLen(ctx, q.jobsKey())
	first := pipe.XRangeN(ctx, q.jobsKey(), "-", "+", 1)
	dead := pipe.XLen(ctx, q.deadKey())
	counters := pipe.HGetAll(ctx, q.countersKey())
	pending := pipe.XPending(ctx, q.jobsKey(), group)
	if _, err := pipe.Exec(ctx); err != nil && !noGroup(err) && err != redis.Nil {
		return Stats{}, wrap("ask for stats", err)
	}
	s := Stats{
		Length:      length.Val(),
		DeadLetters: dead.Val(),
		Processed:   counter(counters.Val(), countProcessed),
		Late:        counter(counters.Val(), countLate),
		Dead:        counter(counters.Val(), countDead),
	}
	if p := pending.Val(); p != nil {
		s.Pending = p.Count
	}
	// The answers are of one moment each: between them entries come and go.
	s.Lag = max(s.Length-s.Pending, 0)
	if entries := first.Val(); len(entries) > 0 {
		ms, _ := splitID(entries[0].ID)
		s.OldestWaiting = max(q.now().Sub(time.UnixMilli(int64(ms))), 0)
	}
	return s, nil
}

func counter(fields map[string]string, name string) int64 {
	n, _ := strconv.ParseInt(fields[name], 10, 64)
	return n
}
