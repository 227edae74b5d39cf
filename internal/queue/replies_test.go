package queue

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/internal/node"
)

func TestRepliesFindTheirJobs(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		q := s.open(t)
		a, b := listen(t, q), listen(t, q)
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
		gone, cancel := a.Expect(NewID())
		cancel()
		sends = append(sends, Reply{To: a.Address(), Job: NewID()}, Reply{Job: NewID()}) // for nobody
		must(t, q.client.XAdd(t.Context(), &redis.XAddArgs{
			Stream: q.repliesKey(a.Address()), Values: []string{replyField, "rubbish"},
		}).Err())
		must(t, q.Reply(t.Context(), sends...))
		for i, ch := range waits {
			if got := receive(t, ch); got.Job != sends[i].Job || got.Outcomes[0] != node.Outcome(i%9) {
				t.Errorf("reply %d: %+v", i, got)
			}
		}
		eventually(t, "the others are counted", func() bool { return a.Malformed() == 1 && a.Unknown() == 1 })
		if len(gone) > 0 || len(a.waiting) > 0 {
			t.Error("something waits for nobody")
		}
		ttl, err := q.client.PTTL(t.Context(), q.repliesKey(a.Address())).Result()
		if err != nil || ttl <= 0 || ttl > repliesTTL {
			t.Errorf("the stream lives for %v, %v", ttl, err)
		}
		must(t, q.Reply(t.Context()))
	})
}

// A job that is judged twice is replied to twice; the first counts and the
// second is in nobody's way.
func TestSecondReply(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		q := s.open(t)
		r := listen(t, q)
		id := NewID()
		ch, cancel := r.Expect(id)
		defer cancel()
		again := Reply{To: r.Address(), Job: id, Outcomes: []node.Outcome{node.OK}}
		must(t, q.Reply(t.Context(), again, again))
		receive(t, ch)
		eventually(t, "the second is dropped", func() bool { return r.Unknown() == 1 })
	})
}

func TestRepliesThatWereReadAreRemoved(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		q := s.open(t)
		r := listen(t, q)
		sends := make([]Reply, 3*repliesTrim)
		for i := range sends {
			sends[i] = Reply{To: r.Address(), Job: NewID()}
		}
		must(t, q.Reply(t.Context(), sends...))
		eventually(t, "few are left", func() bool {
			left, err := q.client.XLen(t.Context(), q.repliesKey(r.Address())).Result()
			must(t, err)
			return r.Unknown() == int64(len(sends)) && left <= repliesTrim
		})
	})
}

// After a flush, or on another server, ids may begin below the cursor.
func TestRepliesWhenTheClockOfRedisWentBack(t *testing.T) {
	onEachOwn(t, func(t *testing.T, s *server) {
		q := s.open(t)
		r := listen(t, q)
		ahead := time.Now().Add(time.Hour).UnixMilli()
		must(t, q.client.XAdd(t.Context(), &redis.XAddArgs{
			Stream: q.repliesKey(r.Address()), Values: []string{"from", "the future"},
			ID: strconv.FormatInt(ahead, 10) + "-5",
		}).Err())
		eventually(t, "the cursor is ahead", func() bool { return r.Malformed() == 1 })
		flush(t, q)
		id := NewID()
		ch, cancel := r.Expect(id)
		defer cancel()
		must(t, q.Reply(t.Context(), Reply{To: r.Address(), Job: id}))
		receive(t, ch)
	})
}

func TestRunEndsAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		q := s.open(t)
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

func TestBefore(t *testing.T) {
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
