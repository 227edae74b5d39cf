package queue

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/redisdb"
	"github.com/driveshare/downstream-node/internal/redisdb/codec"
)

// Reply holds the outcomes of a job's proofs, in the order of the proofs. The
// worker must have committed the outcomes.
type Reply struct {
	To       ID // the Job's ReplyTo; not part of the binary encoding
	Job      ID
	Outcomes []node.Outcome

	Arrived time.Time // at the API replica; not part of the binary encoding
}

const (
	replyVersion = 1
	replyField   = "reply"

	// maxReplies limits the length of a stream that its replica does not read. A
	// replica always has fewer requests in flight.
	maxReplies = 20_000
	// repliesTTL is how long a stream is kept after its last reply. It is longer
	// than any request waits.
	repliesTTL = 5 * time.Minute
)

func appendReply(b []byte, r *Reply) []byte {
	b = append(b, replyVersion)
	b = append(b, r.Job[:]...)
	b = codec.AppendCount(b, len(r.Outcomes))
	for _, o := range r.Outcomes {
		b = append(b, byte(o))
	}
	return b
}

// parseReply parses an encoding that appendReply wrote. If this version does not
// have an outcome, parseReply returns Undecided instead, so that the farmer sends
// its proof again.
func parseReply(b []byte) (Reply, error) {
	var reply Reply
	r := codec.NewReader(b)
	r.Version(replyVersion)
	r.Fill(reply.Job[:])
	reply.Outcomes = make([]node.Outcome, r.Count(1))
	for i, o := range r.Bytes(len(reply.Outcomes)) {
		if o := node.Outcome(o); o.Valid() {
			reply.Outcomes[i] = o
		}
	}
	if err := r.End(); err != nil {
		return Reply{}, fmt.Errorf("reply: %w", err)
	}
	return reply, nil
}

// Reply sends replies in one round trip. It skips replies to the zero ID. If a
// replica has ended, its replies expire with its stream.
func (q *Queue) Reply(ctx context.Context, replies ...Reply) error {
	if len(replies) == 0 {
		return nil
	}
	ctx, cancel := q.db.Bound(ctx)
	defer cancel()
	_, err := q.db.Client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		q.addReplies(ctx, pipe, replies...)
		return nil
	})
	return redisdb.Wrap("reply", err)
}

func (q *Queue) addReplies(ctx context.Context, pipe redis.Pipeliner, replies ...Reply) {
	streams := make(map[ID]struct{}, 1)
	for i := range replies {
		r := &replies[i]
		if r.To == (ID{}) {
			continue
		}
		streams[r.To] = struct{}{}
		pipe.XAdd(ctx, &redis.XAddArgs{
			Stream: q.repliesKey(r.To),
			MaxLen: maxReplies,
			Approx: true,
			Values: []any{replyField, appendReply(nil, r)},
		})
	}
	for to := range streams {
		pipe.PExpire(ctx, q.repliesKey(to), repliesTTL)
	}
}

const (
	repliesBlock = time.Second // time after which the cursor is checked
	repliesCount = 1000        // maximum number of replies in one read
	repliesStart = "0-0"       // the cursor before the first reply
	repliesTrim  = 500         // number of replies to read before they are deleted
	wakeField    = "wake"

	repliesPause    = 20 * time.Millisecond // after a failed read; doubles after each further failure
	repliesPauseMax = time.Second
)

// Replies receives the replies to the jobs of one API replica.
type Replies struct {
	q       *Queue
	address ID
	key     string

	mu      sync.Mutex
	waiting map[ID]chan Reply
}

// NewReplies creates a receiver with a new stream ID. Replies arrive only if Run
// runs.
func (q *Queue) NewReplies() *Replies {
	address := NewID()
	return &Replies{q: q, address: address, key: q.repliesKey(address), waiting: make(map[ID]chan Reply)}
}

// Address is the stream ID of this receiver. A job whose reply must arrive here has
// this ID as its ReplyTo.
func (r *Replies) Address() ID { return r.address }

// Expect returns the channel for the job's first reply. Call Expect before you add
// the job to the queue. A reply may never arrive, so the caller must also wait for
// the job's deadline. The caller must always call cancel.
func (r *Replies) Expect(job ID) (reply <-chan Reply, cancel func()) {
	ch := make(chan Reply, 1) // so that Run never blocks
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

// Run reads replies until ctx ends. It retries all errors.
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
				r.q.log.WarnContext(ctx, "cannot read replies, retrying", "error", err)
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

// trim deletes entries before the cursor, because a read of miniredis scans all
// entries. It keeps the last entry, because rewind needs it. If trim fails, the
// stream is still limited by maxReplies.
func (r *Replies) trim(ctx context.Context, cursor string) {
	ctx, cancel := r.q.db.Bound(ctx)
	defer cancel()
	_ = r.q.db.Client.XTrimMinID(ctx, r.key, cursor).Err()
}

// wake adds an entry that is not a reply. This ends a blocked read, which the
// client cannot cancel. If wake fails, the read ends after repliesBlock.
func (r *Replies) wake(ctx context.Context) {
	ctx, cancel := r.q.db.Bound(ctx)
	defer cancel()
	_, _ = r.q.db.Client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.XAdd(ctx, &redis.XAddArgs{Stream: r.key, Values: []string{wakeField, ""}})
		pipe.PExpire(ctx, r.key, repliesTTL)
		return nil
	})
}

func (r *Replies) read(ctx context.Context, cursor string) ([]redis.XMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, repliesBlock+r.q.db.Timeout())
	defer cancel()
	streams, err := r.q.db.Client.XRead(ctx, &redis.XReadArgs{
		Streams: []string{r.key, cursor},
		Count:   repliesCount,
		Block:   repliesBlock,
	}).Result()
	if err != nil || len(streams) == 0 {
		return nil, redisdb.Wrap("read replies", redisdb.IgnoreNil(err))
	}
	return streams[0].Messages, nil
}

// rewind returns the cursor for the next read after a read without replies. Ids
// contain the server's clock. After a flush, or on a server whose clock is behind,
// new ids may be below the cursor. Without rewind, such replies would never be
// read.
func (r *Replies) rewind(ctx context.Context, cursor string) (string, error) {
	ctx, cancel := r.q.db.Bound(ctx)
	defer cancel()
	last, err := r.q.db.Client.XRevRangeN(ctx, r.key, "+", "-", 1).Result()
	if err != nil {
		return cursor, redisdb.Wrap("find the last reply", err)
	}
	if len(last) == 0 || before(last[0].ID, cursor) {
		return repliesStart, nil
	}
	return cursor, nil
}

// dispatch passes a reply to the caller that expects it. It drops a reply that no
// caller expects, and an entry that cannot be parsed.
func (r *Replies) dispatch(m redis.XMessage) {
	payload, _ := m.Values[replyField].(string)
	reply, err := parseReply([]byte(payload))
	if err != nil {
		return
	}
	r.mu.Lock()
	ch, ok := r.waiting[reply.Job]
	delete(r.waiting, reply.Job)
	r.mu.Unlock()
	if ok {
		reply.Arrived = r.q.db.Now()
		ch <- reply
	}
}

// before reports whether the entry id a (milliseconds-sequence) is less than b.
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
