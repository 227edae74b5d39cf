package queue

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/internal/node"
)

// answerAll is a worker: it finds every proof valid until ctx ends.
func answerAll(ctx context.Context, t testing.TB, q *Queue) (ended chan struct{}) {
	ended = make(chan struct{})
	c := q.NewConsumer("worker", ConsumerOptions{MinIdle: time.Minute, Block: 10 * time.Millisecond})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			deliveries, err := c.Read(ctx, 100)
			if err != nil {
				if ctx.Err() == nil && !errors.Is(err, ErrUnavailable) {
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
				if err != nil && !errors.Is(err, ErrUnavailable) {
					t.Error(err)
				}
			}
		}
	}()
	return ended
}

// ask is a farmer's request: it is asked again until it is answered.
func ask(t testing.TB, q *Queue, r *Replies) {
	t.Helper()
	eventually(t, "the farmer is answered", func() bool {
		job := aJob(r.Address(), 1)
		reply, cancel := r.Expect(job.ID)
		defer cancel()
		if err := q.Enqueue(t.Context(), job); err != nil {
			if !errors.Is(err, ErrUnavailable) {
				t.Fatal(err)
			}
			return false
		}
		select {
		case got := <-reply:
			return got.Outcomes[0] == node.OK
		case <-time.After(200 * time.Millisecond): // the request's time is over
			return false
		}
	})
}

func TestFlushInMidFlow(t *testing.T) {
	onEachOwn(t, func(t *testing.T, s *server) {
		q := s.open(t)
		replies := listen(t, q)
		c := q.NewConsumer("a", atOnce)
		enqueueJobs(t, q, 10)
		lost := read(t, c, 5)
		flush(t, q)
		// What was in hand is committed; nothing is left to acknowledge.
		must(t, c.Done(t.Context(), lost[0]))
		must(t, c.HandBack(t.Context(), lost[1]))
		must(t, c.DeadLetter(t.Context(), lost[2], "test"))
		if taken, err := c.Reclaim(t.Context(), 10); len(taken) > 0 || err != nil {
			t.Errorf("reclaimed %v: %v", taken, err)
		}
		must(t, c.Close(t.Context()))

		ctx, cancel := context.WithCancel(t.Context())
		ended := answerAll(ctx, t, q)
		for range 3 {
			ask(t, q, replies)
			flush(t, q)
		}
		cancel()
		<-ended
	})
}

// A flush while the worker waits must not leave it waiting for a stream that
// is gone: it is back within Block.
func TestFlushUnderARead(t *testing.T) {
	onEachOwn(t, func(t *testing.T, s *server) {
		q := s.open(t)
		c := q.NewConsumer("a", ConsumerOptions{Block: 50 * time.Millisecond})
		enqueueJobs(t, q, 1)
		read(t, c, 1)
		reading := sent(q, "xreadgroup")
		flushed := make(chan error)
		go func() {
			<-reading
			flushed <- errors.Join(q.client.FlushAll(t.Context()).Err(), q.Enqueue(t.Context(), aJob(ID{}, 1)))
		}()
		eventually(t, "the job after the flush is read", func() bool {
			d, err := c.Read(t.Context(), 1)
			must(t, err)
			return len(d) == 1
		})
		must(t, <-flushed)
	})
}

func TestRestart(t *testing.T) {
	onEachOwn(t, func(t *testing.T, s *server) {
		q := s.open(t, func(o *Options) { o.Timeout = time.Second })
		replies := listen(t, q)
		ctx, cancel := context.WithCancel(t.Context())
		ended := answerAll(ctx, t, q)
		ask(t, q, replies)

		s.down()
		contract := aContract(1)
		c := q.NewConsumer("a", ConsumerOptions{})
		d := Delivery{Job: aJob(NewID(), 1), EntryID: "1-1", Deliveries: 1}
		for name, call := range map[string]func() error{
			"Ping":       func() error { return q.Ping(t.Context()) },
			"Enqueue":    func() error { return q.Enqueue(t.Context(), d.Job) },
			"Reply":      func() error { return q.Reply(t.Context(), Reply{To: NewID()}) },
			"Read":       func() error { _, err := c.Read(t.Context(), 1); return err },
			"Reclaim":    func() error { _, err := c.Reclaim(t.Context(), 1); return err },
			"Done":       func() error { return c.Done(t.Context(), d) },
			"HandBack":   func() error { return c.HandBack(t.Context(), d) },
			"DeadLetter": func() error { return c.DeadLetter(t.Context(), d, "test") },
			"Close":      func() error { return c.Close(t.Context()) },
			"Stats":      func() error { _, err := q.Stats(t.Context()); return err },
			"Put":        func() error { return q.States().Put(t.Context(), []node.Contract{contract}) },
			"Get": func() error {
				_, err := q.States().Get(t.Context(), 7, []node.FileHash{contract.FileHash})
				return err
			},
			"Forget": func() error { return q.States().Forget(t.Context(), contract.Name()) },
			"Tokens": func() error { _, err := q.Tokens().Get(t.Context(), node.TokenHash{}); return err },
			"Allow": func() error {
				_, ok, err := q.Allow(t.Context(), "ip", 1, 1)
				if ok {
					t.Error("let pass what it knows nothing of")
				}
				return err
			},
		} {
			if err := call(); !errors.Is(err, ErrUnavailable) {
				t.Errorf("%s: %v", name, err)
			}
		}

		s.up()
		ask(t, q, replies)
		must(t, q.Ping(t.Context()))
		cancel()
		<-ended
	})
}

func TestCannotWorkNow(t *testing.T) {
	t.Parallel()
	t.Run("out of memory", func(t *testing.T) {
		t.Parallel()
		q := startOwnRedis(t).open(t)
		must(t, q.client.ConfigSet(t.Context(), "maxmemory", "1").Err())
		for name, err := range map[string]error{
			"Enqueue": q.Enqueue(t.Context(), aJob(ID{}, 1)),
			"Put":     q.States().Put(t.Context(), []node.Contract{aContract(1)}),
			"Reply":   q.Reply(t.Context(), Reply{To: NewID()}),
		} {
			if !errors.Is(err, ErrUnavailable) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("read-only replica", func(t *testing.T) {
		t.Parallel()
		q := startOwnRedis(t).open(t)
		must(t, q.client.SlaveOf(t.Context(), "127.0.0.1", "1").Err())
		if err := q.Enqueue(t.Context(), aJob(ID{}, 1)); !errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
	})
	t.Run("loading", func(t *testing.T) {
		t.Parallel()
		m := miniredis.RunT(t)
		q := (&server{options: Options{Addrs: []string{m.Addr()}}}).open(t)
		m.SetError("LOADING Redis is loading the dataset in memory")
		if err := q.Ping(t.Context()); !errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
		m.SetError("ERR something else")
		if err := q.Ping(t.Context()); err == nil || errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
	})
	t.Run("not answering", func(t *testing.T) {
		t.Parallel()
		s := startOwnRedis(t)
		q := s.open(t, func(o *Options) { o.Timeout = 50 * time.Millisecond })
		s.pause()
		if err := q.Enqueue(t.Context(), aJob(ID{}, 1)); !errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
	})
	t.Run("the caller gave up", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := startMiniredis(t).open(t).Enqueue(ctx, aJob(ID{}, 1))
		if !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
	})
}

func TestEmbedded(t *testing.T) {
	t.Parallel()
	q, err := Embedded(t.Context(), Options{Namespace: "laptop", URL: "redis://127.0.0.1:1"})
	must(t, err)
	defer func() { must(t, q.Close()) }()
	replies := listen(t, q)
	ctx, cancel := context.WithCancel(t.Context())
	ended := answerAll(ctx, t, q)
	ask(t, q, replies)
	cancel()
	<-ended

	must(t, q.Tokens().Put(t.Context(), node.TokenHash{}, []byte("t"), 100*time.Millisecond))
	eventually(t, "time passes in it", func() bool {
		value, err := q.Tokens().Get(t.Context(), node.TokenHash{})
		must(t, err)
		return value == nil
	})
	o := *q.client.(*redis.Client).Options()
	stranger := redis.NewClient(&redis.Options{Addr: o.Addr})
	defer stranger.Close()
	if err := stranger.Keys(t.Context(), "*").Err(); err == nil {
		t.Error("anybody can look into it")
	}
}
