package queue

import (
	"context"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"
)

// admit is run behind the XADDs of several calls' jobs, in one transaction with
// them, and is given how many each call has. Of a call for which there is no
// room it takes all jobs out again, and says so of each call, 1 or 0. What is
// under way counts too: an entry leaves the stream when it is done. MAXLEN
// would make room by dropping the oldest job without a word.
//
// The jobs do not go through the script itself: Lua hashes every byte of its
// arguments, one after the other, which costs more than all else that Redis
// does with a job.
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

// Enqueue adds the jobs, all or none; ErrFull says that there is no room, and
// ErrTooLarge that one of them has to come in parts. On any other error it is
// unknown whether they were added; adding them again is harmless, for a
// verdict counts once.
//
// Calls that come while others are on their way to Redis go together, as soon
// as those are back: many requests cost few round trips, and one does not wait
// for another to come.
func (q *Queue) Enqueue(ctx context.Context, jobs ...Job) error {
	if len(jobs) == 0 {
		return nil
	}
	e := &entries{jobs: make([][]byte, len(jobs)), told: make(chan error, 1)}
	for i := range jobs {
		b := appendJob(make([]byte, 0, jobSize(&jobs[i])), &jobs[i])
		if len(b) > MaxJobBytes {
			return fmt.Errorf("queue: enqueue %s, %d bytes: %w", jobs[i].ID, len(b), ErrTooLarge)
		}
		e.jobs[i] = b
		e.bytes += len(b)
	}
	if err := ctx.Err(); err != nil {
		return wrap("enqueue", err)
	}
	q.outgoing.add(e, q.send)
	select {
	case err := <-e.told:
		return err
	case <-ctx.Done():
		return wrap("enqueue", ctx.Err())
	}
}

// entries are the jobs of one call.
type entries struct {
	jobs  [][]byte // each in its binary form
	bytes int
	told  chan error // has room for what became of them
}

// outgoing is the calls that wait to be sent.
type outgoing struct {
	mu      sync.Mutex
	waiting []*entries
	sending int // batches under way
}

const (
	// sendersMax is how many batches are under way at once: while Redis works
	// on one, the next is written.
	sendersMax = 2
	// The most that is sent at once: Redis does nothing else meanwhile.
	sendCalls = 200
	sendBytes = 1 << 20
)

// add has the entries sent, by a goroutine that is there while there is
// something to send.
func (o *outgoing) add(e *entries, send func([]*entries)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = append(o.waiting, e)
	if o.sending == sendersMax {
		return
	}
	o.sending++
	go func() {
		for batch := o.next(); len(batch) > 0; batch = o.next() {
			send(batch)
		}
	}()
}

// next takes what is to be sent; nothing where the sender shall end.
func (o *outgoing) next() []*entries {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for bytes := 0; n < len(o.waiting) && n < sendCalls && bytes < sendBytes; n++ {
		bytes += o.waiting[n].bytes
	}
	batch := o.waiting[:n:n]
	if o.waiting = o.waiting[n:]; len(o.waiting) == 0 {
		o.waiting = nil
	}
	if n == 0 {
		o.sending--
	}
	return batch
}

// send adds the jobs of the calls and tells each what became of them.
func (q *Queue) send(calls []*entries) {
	ctx, cancel := q.bounded(context.Background())
	defer cancel()
	admitted, err := q.addAll(ctx, calls)
	if err == nil && len(admitted) != len(calls) {
		err = fmt.Errorf("%d answers to %d calls", len(admitted), len(calls))
	}
	for i, e := range calls {
		switch {
		case err != nil:
			e.told <- wrap("enqueue", err)
		case admitted[i] == 0:
			e.told <- fmt.Errorf("queue: enqueue %d jobs: %w", len(e.jobs), ErrFull)
		default:
			e.told <- nil
		}
	}
}

// addAll adds the jobs of those calls for which there is room, and says for
// which there was, 1 or 0.
func (q *Queue) addAll(ctx context.Context, calls []*entries) ([]int64, error) {
	counts := make([]any, 1, 1+len(calls))
	counts[0] = q.maxQueue
	var admitted *redis.Cmd
	err := q.transaction(ctx, func(tx redis.Pipeliner) error {
		for _, e := range calls {
			for _, job := range e.jobs {
				tx.XAdd(ctx, &redis.XAddArgs{Stream: q.jobsKey(), Values: []any{jobField, job}})
			}
			counts = append(counts, len(e.jobs))
		}
		// By its text: where the server does not know a script by its digest,
		// the jobs would be there all the same.
		admitted = tx.Eval(ctx, admit, []string{q.jobsKey()}, counts...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return admitted.Int64Slice()
}
