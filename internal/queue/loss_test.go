package queue

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/redisdb"
	"github.com/driveshare/downstream-node/internal/redisdb/redistest"
	"github.com/driveshare/downstream-node/internal/testenv"
)

// runWorker accepts every proof until ctx ends.
func runWorker(ctx context.Context, t testing.TB, q *Queue) (ended chan struct{}) {
	ended = make(chan struct{})
	c := q.NewConsumer("worker", ConsumerOptions{MinIdle: time.Minute, Block: 10 * time.Millisecond})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			deliveries, err := c.Read(ctx, 100)
			if err != nil {
				if ctx.Err() == nil && !errors.Is(err, redisdb.ErrUnavailable) {
					t.Error(err)
				}
				continue
			}
			for _, d := range deliveries {
				err := q.Reply(context.WithoutCancel(ctx), Reply{
					To: d.Job.ReplyTo, Job: d.Job.ID, Outcomes: []node.Outcome{node.OK},
				})
				if err == nil {
					err = c.Done(context.WithoutCancel(ctx), d)
				}
				if err != nil && !errors.Is(err, redisdb.ErrUnavailable) {
					t.Error(err)
				}
			}
		}
	}()
	return ended
}

// request sends a farmer's request again until it gets a verdict.
func request(t testing.TB, q *Queue, r *Replies) {
	t.Helper()
	testenv.WaitFor(t, "the request has a verdict", func() bool {
		job := aJob(r.Address(), 1)
		reply, cancel := r.Expect(job.ID)
		defer cancel()
		if err := q.Enqueue(t.Context(), job); err != nil {
			if !errors.Is(err, redisdb.ErrUnavailable) {
				t.Fatal(err)
			}
			return false
		}
		select {
		case got := <-reply:
			return got.Outcomes[0] == node.OK
		case <-time.After(200 * time.Millisecond):
			return false
		}
	})
}

func TestQueueWorksAfterAFlush(t *testing.T) {
	redistest.OnEachOwn(t, func(t *testing.T, s *redistest.Server) {
		q := open(t, s)
		replies := listen(t, q)
		c := q.NewConsumer("a", atOnce)
		enqueueJobs(t, q, 10)
		lost := read(t, c, 5)
		flush(t, q)
		// The worker settles the jobs it has read. This must have no effect.
		must(t, c.Done(t.Context(), lost[0]))
		must(t, c.HandBack(t.Context(), lost[1]))
		must(t, c.DeadLetter(t.Context(), lost[2], "test"))
		if claimed, err := c.Reclaim(t.Context(), 10); len(claimed) > 0 || err != nil {
			t.Errorf("reclaimed %v: %v", claimed, err)
		}
		must(t, c.Close(t.Context()))

		ctx, cancel := context.WithCancel(t.Context())
		ended := runWorker(ctx, t, q)
		for range 3 {
			request(t, q, replies)
			flush(t, q)
		}
		cancel()
		<-ended
	})
}

// A flush deletes the stream during a read. The read must not keep waiting for the
// stream: it must return within Block.
func TestFlushDuringARead(t *testing.T) {
	redistest.OnEachOwn(t, func(t *testing.T, s *redistest.Server) {
		q := open(t, s)
		c := q.NewConsumer("a", ConsumerOptions{Block: 50 * time.Millisecond})
		enqueueJobs(t, q, 1)
		read(t, c, 1)
		reading := sent(q, "xreadgroup")
		flushed := make(chan error)
		go func() {
			<-reading
			flushed <- errors.Join(q.db.Client.FlushAll(t.Context()).Err(), q.Enqueue(t.Context(), aJob(ID{}, 1)))
		}()
		testenv.WaitFor(t, "the job added after the flush is read", func() bool {
			d, err := c.Read(t.Context(), 1)
			must(t, err)
			return len(d) == 1
		})
		must(t, <-flushed)
	})
}

func TestQueueWorksAfterARestart(t *testing.T) {
	redistest.OnEachOwn(t, func(t *testing.T, s *redistest.Server) {
		q := open(t, s, func(o *options) { o.Timeout = time.Second })
		replies := listen(t, q)
		ctx, cancel := context.WithCancel(t.Context())
		ended := runWorker(ctx, t, q)
		request(t, q, replies)

		s.Down()
		c := q.NewConsumer("a", ConsumerOptions{})
		d := Delivery{Job: aJob(NewID(), 1), EntryID: "1-1", Deliveries: 1}
		for name, call := range map[string]func() error{
			"Enqueue":    func() error { return q.Enqueue(t.Context(), d.Job) },
			"Reply":      func() error { return q.Reply(t.Context(), Reply{To: NewID()}) },
			"Read":       func() error { _, err := c.Read(t.Context(), 1); return err },
			"Reclaim":    func() error { _, err := c.Reclaim(t.Context(), 1); return err },
			"Done":       func() error { return c.Done(t.Context(), d) },
			"Expire":     func() error { return c.Expire(t.Context(), d) },
			"HandBack":   func() error { return c.HandBack(t.Context(), d) },
			"DeadLetter": func() error { return c.DeadLetter(t.Context(), d, "test") },
			"Close":      func() error { return c.Close(t.Context()) },
			"Stats":      func() error { _, err := q.Stats(t.Context()); return err },
		} {
			if err := call(); !errors.Is(err, redisdb.ErrUnavailable) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := q.unsettled.Load(); n < 3 {
			t.Errorf("%d jobs counted as not settled, want those of Done, Expire and DeadLetter", n)
		}

		s.Up()
		request(t, q, replies)
		cancel()
		<-ended
	})
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	t.Run("out of memory", func(t *testing.T) {
		t.Parallel()
		q := open(t, redistest.Own(t))
		must(t, q.db.Client.ConfigSet(t.Context(), "maxmemory", "1").Err())
		for name, err := range map[string]error{
			"Enqueue": q.Enqueue(t.Context(), aJob(ID{}, 1)),
			"Reply":   q.Reply(t.Context(), Reply{To: NewID()}),
		} {
			if !errors.Is(err, redisdb.ErrUnavailable) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("read-only replica", func(t *testing.T) {
		t.Parallel()
		q := open(t, redistest.Own(t))
		must(t, q.db.Client.SlaveOf(t.Context(), "127.0.0.1", "1").Err())
		if err := q.Enqueue(t.Context(), aJob(ID{}, 1)); !errors.Is(err, redisdb.ErrUnavailable) {
			t.Error(err)
		}
	})
	t.Run("no response", func(t *testing.T) {
		t.Parallel()
		s := redistest.Own(t)
		q := open(t, s, func(o *options) { o.Timeout = 50 * time.Millisecond })
		s.Pause()
		if err := q.Enqueue(t.Context(), aJob(ID{}, 1)); !errors.Is(err, redisdb.ErrUnavailable) {
			t.Error(err)
		}
	})
	t.Run("canceled by the caller", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := open(t, redistest.Miniredis(t)).Enqueue(ctx, aJob(ID{}, 1))
		if !errors.Is(err, context.Canceled) || errors.Is(err, redisdb.ErrUnavailable) {
			t.Error(err)
		}
	})
}

func TestEmbedded(t *testing.T) {
	t.Parallel()
	db, err := redisdb.Embedded(redisdb.Options{Namespace: "laptop"})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	q := New(db, config.Default[Config](), slog.Default())
	replies := listen(t, q)
	ctx, cancel := context.WithCancel(t.Context())
	ended := runWorker(ctx, t, q)
	request(t, q, replies)
	cancel()
	<-ended
}
