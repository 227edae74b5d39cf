package queue

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/redisdb/redistest"
	"github.com/driveshare/downstream-node/internal/testenv"
)

func TestRepliesReachTheirJobs(t *testing.T) {
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		q := open(t, s)
		a, b := listen(t, q), listen(t, q)
		// The first entries are replies that no caller expects, and a malformed
		// reply.
		canceled, cancel := a.Expect(NewID())
		cancel()
		must(t, q.Reply(t.Context(), Reply{To: a.Address(), Job: NewID()}, Reply{Job: NewID()}))
		must(t, q.db.Client.XAdd(t.Context(), &redis.XAddArgs{
			Stream: q.repliesKey(a.Address()), Values: []string{replyField, "malformed"},
		}).Err())

		const n = 500
		var sends []Reply
		var waits []<-chan Reply
		for i := range n {
			r := []*Replies{a, b}[i%2]
			id := NewID()
			ch, cancel := r.Expect(id)
			defer cancel()
			waits = append(waits, ch)
			sends = append(sends, Reply{To: r.Address(), Job: id, Outcomes: []node.Outcome{node.Outcome(i % 9)}})
		}
		must(t, q.Reply(t.Context(), sends...))
		for i, ch := range waits {
			if got := receive(t, ch); got.Job != sends[i].Job || got.Outcomes[0] != node.Outcome(i%9) {
				t.Errorf("reply %d: %+v", i, got)
			}
		}
		if len(canceled) > 0 || a.expected() > 0 {
			t.Error("a call that was canceled or has its reply is still waiting")
		}
		ttl, err := q.db.Client.PTTL(t.Context(), q.repliesKey(a.Address())).Result()
		if err != nil || ttl <= 0 || ttl > repliesTTL {
			t.Errorf("the stream's lifetime is %v, %v", ttl, err)
		}
		must(t, q.Reply(t.Context()))
	})
}

func (r *Replies) expected() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.waiting)
}

// A job that is judged twice has two replies. The caller must receive only the
// first.
func TestSecondReplyIsDropped(t *testing.T) {
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		q := open(t, s)
		r := listen(t, q)
		first, last := NewID(), NewID()
		firstReply, cancel := r.Expect(first)
		defer cancel()
		lastReply, cancel := r.Expect(last)
		defer cancel()
		twice := Reply{To: r.Address(), Job: first, Outcomes: []node.Outcome{node.OK}}
		must(t, q.Reply(t.Context(), twice, twice, Reply{To: r.Address(), Job: last}))
		receive(t, firstReply)
		receive(t, lastReply) // the second reply was sent before the last reply
		if len(firstReply) > 0 || r.expected() > 0 {
			t.Error("the second reply was not dropped")
		}
	})
}

func TestRepliesAreDeletedAfterTheyAreRead(t *testing.T) {
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		q := open(t, s)
		r := listen(t, q)
		sends := make([]Reply, 3*repliesTrim)
		for i := range sends {
			sends[i] = Reply{To: r.Address(), Job: NewID()}
		}
		last, cancel := r.Expect(sends[len(sends)-1].Job)
		defer cancel()
		must(t, q.Reply(t.Context(), sends...))
		receive(t, last)
		testenv.WaitFor(t, "few replies are left", func() bool {
			left, err := q.db.Client.XLen(t.Context(), q.repliesKey(r.Address())).Result()
			must(t, err)
			return left <= repliesTrim
		})
	})
}

// After a flush, or on another server, ids may start below the cursor. Replies with
// such ids must still arrive.
func TestRepliesAreReadAfterTheClockOfRedisGoesBack(t *testing.T) {
	redistest.OnEachOwn(t, func(t *testing.T, s *redistest.Server) {
		q := open(t, s)
		r := listen(t, q)
		future := Reply{To: r.Address(), Job: NewID()}
		ch, cancel := r.Expect(future.Job)
		defer cancel()
		must(t, q.db.Client.XAdd(t.Context(), &redis.XAddArgs{
			Stream: q.repliesKey(r.Address()), Values: []any{replyField, appendReply(nil, &future)},
			ID: strconv.FormatInt(time.Now().Add(time.Hour).UnixMilli(), 10) + "-5",
		}).Err())
		receive(t, ch)
		flush(t, q)
		id := NewID()
		ch, cancel = r.Expect(id)
		defer cancel()
		must(t, q.Reply(t.Context(), Reply{To: r.Address(), Job: id}))
		receive(t, ch)
	})
}

func TestRunEndsAtOnce(t *testing.T) {
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		q := open(t, s)
		r := q.NewReplies()
		reading := sent(q, "xread")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			r.Run(ctx)
		}()
		<-reading
		before := time.Now()
		cancel()
		<-ended
		if took := time.Since(before); took > repliesBlock*9/10 {
			t.Errorf("took %v", took)
		}
	})
}

func TestBeforeComparesEntryIDs(t *testing.T) {
	t.Parallel()
	ids := []string{"0-0", "0-1", "9-10", "10-0", "10-2", "10-10", "1526919030474-55"}
	for i, a := range ids {
		for j, b := range ids {
			if before(a, b) != (i < j) {
				t.Errorf("before(%s, %s) is %v", a, b, before(a, b))
			}
		}
	}
}
