package queue

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/internal/redisdb"
)

// DeadLetter is an entry of the dead-letter stream.
type DeadLetter struct {
	ID         string    // the entry's id
	Time       time.Time // when the job became a dead letter, by the clock of Redis
	Reason     string
	Consumer   string // the worker that gave up the job
	Deliveries int64
	Job        Job
	Malformed  error // why Job cannot be parsed, or nil
}

// deadPage is the number of dead letters in one read.
const deadPage = 16

// DeadLetters calls do with each dead letter, the oldest first.
func (q *Queue) DeadLetters(ctx context.Context, do func(DeadLetter) error) error {
	for from := "-"; ; {
		page, err := q.deadRange(ctx, from, "+", deadPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, m := range page {
			if err := do(parseDeadLetter(m)); err != nil {
				return err
			}
		}
		from = "(" + page[len(page)-1].ID
	}
}

func (q *Queue) deadRange(ctx context.Context, from, to string, n int64) ([]redis.XMessage, error) {
	ctx, cancel := q.db.Bound(ctx)
	defer cancel()
	page, err := q.db.Client.XRangeN(ctx, q.deadKey(), from, to, n).Result()
	return page, redisdb.Wrap("read dead letters", err)
}

func parseDeadLetter(m redis.XMessage) DeadLetter {
	field := func(name string) string {
		text, _ := m.Values[name].(string)
		return text
	}
	ms, _ := splitID(m.ID)
	d := DeadLetter{ID: m.ID, Time: time.UnixMilli(int64(ms)).UTC(), Reason: field("reason"), Consumer: field("consumer")}
	d.Deliveries, _ = strconv.ParseInt(field("deliveries"), 10, 64)
	d.Job, d.Malformed = parseJob([]byte(field(jobField)))
	return d
}

// RetryDeadLetter adds the job of a dead letter to the queue again, and then deletes
// the dead letter. Workers judge the job's proofs as of their arrival. No request
// waits for the job, so there is no reply. If RetryDeadLetter fails in between, the
// dead letter remains; a second retry is harmless, because a verdict counts once.
func (q *Queue) RetryDeadLetter(ctx context.Context, d DeadLetter, deadline time.Time) error {
	if d.Malformed != nil {
		return fmt.Errorf("dead letter %s cannot be judged, because its job cannot be parsed; drop it: %w", d.ID, d.Malformed)
	}
	job := d.Job
	job.ID, job.ReplyTo, job.Deadline = NewID(), ID{}, deadline
	if err := q.Enqueue(ctx, job); err != nil {
		return err
	}
	return q.DropDeadLetter(ctx, d.ID)
}

// DropDeadLetter deletes a dead letter. It has no effect if there is none with this
// id.
func (q *Queue) DropDeadLetter(ctx context.Context, id string) error {
	ctx, cancel := q.db.Bound(ctx)
	defer cancel()
	return redisdb.Wrap("delete dead letter", q.db.Client.XDel(ctx, q.deadKey(), id).Err())
}
