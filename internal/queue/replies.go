package queue

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	repliesBlock = time.Second // after it, the cursor is looked at
	repliesCount = 1000        // read at once
	repliesStart = "0-0"       // the cursor before the first reply
	repliesTrim  = 500         // read, that are kept before they are removed
	wakeField    = "wake"

	repliesPause    = 20 * time.Millisecond // after a failed read, doubled
	repliesPauseMax = time.Second
)

// Replies is where one API replica waits for what became of its jobs.
type Replies struct {
	q       *Queue
	address ID

	mu      sync.Mutex
	waiting map[ID]chan Reply

	malformed atomic.Int64
	unknown   atomic.Int64
}

// NewReplies makes a place for replies with an address of its own. Nothing
// arrives before Run is under way.
func (q *Queue) NewReplies() *Replies {
	return &Replies{q: q, address: NewID(), waiting: make(map[ID]chan Reply)}
}

// Address is the ReplyTo of the jobs whose replies arrive here.
func (r *Replies) Address() ID { return r.address }

// Malformed counts the replies that could not be decoded.
func (r *Replies) Malformed() int64 { return r.malformed.Load() }

// Unknown counts the replies that nobody waited for (any more).
func (r *Replies) Unknown() int64 { return r.unknown.Load() }

// Expect gives the channel on which the job's first reply arrives. It is
// called before the job is added to the queue. A reply may never come: the
// caller waits until the job's deadline too, and calls cancel in any case.
func (r *Replies) Expect(job ID) (reply <-chan Reply, cancel func()) {
	ch := make(chan Reply, 1) // so that Run never waits for a caller
	r.mu.Lock()
	r.waiting[job] = ch
	r.mu.Unlock()
	return ch, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.waiting[job] == ch {
			delete(r.waiting, job)
		}
	}
}

// Run reads replies until ctx ends. It outlasts anything that Redis does: it
// goes on when Redis is back.
func (r *Replies) Run(ctx context.Context) {
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(woken)
		r.wake(context.WithoutCancel(ctx))
	})
	defer func() {
		if !stop() {
			<-woken
		}
	}()
	cursor, pause := repliesStart, repliesPause
	failing, read := false, 0
	for ctx.Err() == nil {
		messages, err := r.read(ctx, cursor)
		if err == nil && len(messages) == 0 {
			cursor, err = r.rewind(ctx, cursor)
		}
		if err != nil {
			if !failing && ctx.Err() == nil {
				r.q.log.WarnContext(ctx, "replies cannot be read", "error", err)
				failing = true
			}
			wait(ctx, pause)
			pause = min(2*pause, repliesPauseMax)
			continue
		}
		if failing {
			r.q.log.InfoContext(ctx, "replies can be read again")
			failing = false
		}
		pause = repliesPause
		for _, m := range messages {
			r.dispatch(m)
			cursor = m.ID
		}
		if read += len(messages); read >= repliesTrim {
			r.trim(ctx, cursor)
			read = 0
		}
	}
}

// trim removes what was read before the cursor: a read of miniredis passes
// all entries. The last one stays for rewind to see. Where that fails the
// stream's own bound removes them.
func (r *Replies) trim(ctx context.Context, cursor string) {
	ctx, cancel := r.q.bounded(ctx)
	defer cancel()
	_ = r.q.client.XTrimMinID(ctx, r.q.repliesKey(r.address), cursor).Err()
}

// wake adds an entry that is no reply, so that a read that waits ends: the
// client does not break it off. Where that fails the read ends by itself.
func (r *Replies) wake(ctx context.Context) {
	ctx, cancel := r.q.bounded(ctx)
	defer cancel()
	key := r.q.repliesKey(r.address)
	_, _ = r.q.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.XAdd(ctx, &redis.XAddArgs{Stream: key, Values: []string{wakeField, ""}})
		pipe.PExpire(ctx, key, repliesTTL)
		return nil
	})
}

func (r *Replies) read(ctx context.Context, cursor string) ([]redis.XMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, repliesBlock+r.q.timeout)
	defer cancel()
	streams, err := r.q.client.XRead(ctx, &redis.XReadArgs{
		Streams: []string{r.q.repliesKey(r.address), cursor},
		Count:   repliesCount,
		Block:   repliesBlock,
	}).Result()
	if err != nil || len(streams) == 0 {
		return nil, wrap("read replies", ignoreNil(err))
	}
	return streams[0].Messages, nil
}

// rewind gives the cursor to go on from when nothing came. Ids are made of
// the server's clock; after a flush, or on a server that has taken over and
// whose clock is behind, they may begin again below the cursor, and would
// never be read.
func (r *Replies) rewind(ctx context.Context, cursor string) (string, error) {
	ctx, cancel := r.q.bounded(ctx)
	defer cancel()
	last, err := r.q.client.XRevRangeN(ctx, r.q.repliesKey(r.address), "+", "-", 1).Result()
	if err != nil {
		return cursor, wrap("look for replies", err)
	}
	if len(last) == 0 || before(last[0].ID, cursor) {
		return repliesStart, nil
	}
	return cursor, nil
}

func (r *Replies) dispatch(m redis.XMessage) {
	if _, ok := m.Values[wakeField]; ok {
		return
	}
	payload, _ := m.Values[replyField].(string)
	reply, err := parseReply([]byte(payload))
	if err != nil {
		r.malformed.Add(1)
		return
	}
	r.mu.Lock()
	ch, ok := r.waiting[reply.Job]
	delete(r.waiting, reply.Job)
	r.mu.Unlock()
	if !ok {
		r.unknown.Add(1)
		return
	}
	ch <- reply
}

// before compares the ids of two entries, milliseconds-sequence each.
func before(a, b string) bool {
	aTime, aSeq := splitID(a)
	bTime, bSeq := splitID(b)
	return aTime < bTime || aTime == bTime && aSeq < bSeq
}

func splitID(id string) (ms, seq uint64) {
	left, right, _ := strings.Cut(id, "-")
	ms, _ = strconv.ParseUint(left, 10, 64)
	seq, _ = strconv.ParseUint(right, 10, 64)
	return ms, seq
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
