package queue

import (
	"context"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"
)

// enqueue adds the jobs of several calls. Where there is no room for all of a
// call it adds none of them, and says so of each call, 1 or 0. What is under
// way counts too: an entry leaves the stream when it is done. MAXLEN would make
// room by dropping the oldest job without a word.
var enqueue = redis.NewScript(`
local room = tonumber(ARGV[1]) - redis.call('XLEN', KEYS[1])
local added, at = {}, 2
while at <= #ARGV do
  local n = tonumber(ARGV[at])
  if n > room then
    added[#added + 1] = 0
  else
    for i = at + 1, at + n do
      redis.call('XADD', KEYS[1], '*', '` + jobField + `', ARGV[i])
    end
    room = room - n
    added[#added + 1] = 1
  end
  at = at + n + 1
end
return added
`)

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
	e := &entries{jobs: make([]any, len(jobs)), told: make(chan error, 1)}
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
	jobs  []any // each in its binary form
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
	args := make([]any, 1, 1+2*len(calls))
	args[0] = q.maxQueue
	for _, e := range calls {
		args = append(append(args, len(e.jobs)), e.jobs...)
	}
	ctx, cancel := q.bounded(context.Background())
	defer cancel()
	added, err := enqueue.Run(ctx, q.client, []string{q.jobsKey()}, args...).Int64Slice()
	if err == nil && len(added) != len(calls) {
		err = fmt.Errorf("%d answers to %d calls", len(added), len(calls))
	}
	for i, e := range calls {
		switch {
		case err != nil:
			e.told <- wrap("enqueue", err)
		case added[i] == 0:
			e.told <- fmt.Errorf("queue: enqueue %d jobs: %w", len(e.jobs), ErrFull)
		default:
			e.told <- nil
		}
	}
}
