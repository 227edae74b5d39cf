package queue

import (
	"context"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/internal/redisdb"
)

// admit runs in one transaction, after the XADDs of the jobs of several calls. Its
// arguments are the limit of the queue and the number of jobs of each call. If
// there is no room for the jobs of a call, it deletes all of them. For each call it
// returns 1 (admitted) or 0. Jobs in flight count towards the limit, because an
// entry leaves the stream only when it is done. MAXLEN is no alternative, because
// it drops the oldest job silently.
//
// The jobs are not arguments of the script, because Lua hashes every byte of its
// arguments. That costs more than all other work of Redis for a job.
const admit = `
local sum = 0
for i = 2, #ARGV do
  sum = sum + ARGV[i]
end
local room = ARGV[1] - redis.call('XLEN', KEYS[1]) + sum
local admitted, at, last = {}, 0, nil
for i = 2, #ARGV do
  local n = tonumber(ARGV[i])
  if n <= room then
    room = room - n
    admitted[#admitted + 1] = 1
  else
    last = last or redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', sum)
    for k = at + 1, at + n do
      redis.call('XDEL', KEYS[1], last[sum + 1 - k][1])
    end
    admitted[#admitted + 1] = 0
  end
  at = at + n
end
return admitted
`

// Enqueue adds all jobs or none. It returns [ErrFull] if there is no room, and
// [ErrTooLarge] if the caller must split a job. After any other error the jobs may
// have been added. A second Enqueue is harmless, because a verdict counts once.
//
// If batches are being sent, further calls wait and then share one round trip.
func (q *Queue) Enqueue(ctx context.Context, jobs ...Job) error {
	if len(jobs) == 0 {
		return nil
	}
	c := &enqueueCall{jobs: make([][]byte, len(jobs)), result: make(chan error, 1)}
	for i := range jobs {
		b := appendJob(make([]byte, 0, jobSize(&jobs[i])), &jobs[i])
		if len(b) > MaxJobBytes {
			return fmt.Errorf("queue: enqueue %s, %d bytes: %w", jobs[i].ID, len(b), ErrTooLarge)
		}
		c.jobs[i] = b
		c.bytes += len(b)
	}
	if err := ctx.Err(); err != nil {
		return redisdb.Wrap("enqueue", err)
	}
	q.outgoing.add(c, q.send)
	select {
	case err := <-c.result:
		return err
	case <-ctx.Done():
		return redisdb.Wrap("enqueue", ctx.Err())
	}
}

// enqueueCall is one call of Enqueue.
type enqueueCall struct {
	jobs   [][]byte // the binary encoding of each job
	bytes  int
	result chan error // buffered
}

// outgoing is the calls that wait to be sent.
type outgoing struct {
	mu      sync.Mutex
	waiting []*enqueueCall
	senders int
}

const (
	// maxSenders is the maximum number of batches in flight: while Redis processes
	// one batch, the client writes the next batch.
	maxSenders = 2
	// The limits of a batch. Redis runs no other command during the transaction of
	// a batch.
	maxBatchCalls = 200
	maxBatchBytes = 1 << 20
)

// add queues a call. If there are fewer than maxSenders senders, it starts another,
// which runs until no call waits.
func (o *outgoing) add(c *enqueueCall, send func([]*enqueueCall)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = append(o.waiting, c)
	if o.senders == maxSenders {
		return
	}
	o.senders++
	go func() {
		for batch := o.next(); len(batch) > 0; batch = o.next() {
			send(batch)
		}
	}()
}

// next takes the next batch. If the batch is empty, the sender must stop.
func (o *outgoing) next() []*enqueueCall {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for bytes := 0; n < len(o.waiting) && n < maxBatchCalls && bytes < maxBatchBytes; n++ {
		bytes += o.waiting[n].bytes
	}
	batch := o.waiting[:n:n]
	if o.waiting = o.waiting[n:]; len(o.waiting) == 0 {
		o.waiting = nil
	}
	if n == 0 {
		o.senders--
	}
	return batch
}

// send adds the jobs of the calls and returns a result to each.
func (q *Queue) send(calls []*enqueueCall) {
	ctx, cancel := q.db.Bound(context.Background())
	defer cancel()
	admitted, err := q.addAll(ctx, calls)
	if err == nil && len(admitted) != len(calls) {
		err = fmt.Errorf("%d results for %d calls", len(admitted), len(calls))
	}
	for i, c := range calls {
		switch {
		case err != nil:
			c.result <- redisdb.Wrap("enqueue", err)
		case admitted[i] == 0:
			c.result <- fmt.Errorf("queue: enqueue %d jobs: %w", len(c.jobs), ErrFull)
		default:
			c.result <- nil
		}
	}
}

// addAll adds the jobs of the calls for which there is room. It returns 1 (added)
// or 0 for each call.
func (q *Queue) addAll(ctx context.Context, calls []*enqueueCall) ([]int64, error) {
	counts := make([]any, 1, 1+len(calls))
	counts[0] = q.maxQueue
	var admitted *redis.Cmd
	err := q.db.Transaction(ctx, func(tx redis.Pipeliner) error {
		for _, c := range calls {
			for _, job := range c.jobs {
				tx.XAdd(ctx, &redis.XAddArgs{Stream: q.jobsKey(), Values: []any{jobField, job}})
			}
			counts = append(counts, len(c.jobs))
		}
		// EVAL, not EVALSHA: if the server did not have the script, EVALSHA would
		// fail, but the transaction would still add the jobs.
		admitted = tx.Eval(ctx, admit, []string{q.jobsKey()}, counts...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return admitted.Int64Slice()
}
