package queue

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/internal/node"
)

// aJob is a job of n proofs that is due in a minute.
func aJob(replyTo ID, n int) Job {
	now := time.Now().UTC().Truncate(time.Microsecond)
	j := Job{
		ID: NewID(), ReplyTo: replyTo, KeyID: 3, TokenID: 7,
		Received: now, Deadline: now.Add(time.Minute), Proofs: make([]Answer, n),
	}
	for i := range j.Proofs {
		j.Proofs[i] = Answer{FileHash: node.FileHash{byte(i), 1}, Proof: []byte(strings.Repeat("p", i))}
	}
	return j
}

func enqueueJobs(t testing.TB, q *Queue, n int) []Job {
	t.Helper()
	jobs := make([]Job, n)
	for i := range jobs {
		jobs[i] = aJob(ID{}, 1)
	}
	must(t, q.Enqueue(t.Context(), jobs...))
	return jobs
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// read reads exactly n jobs.
func read(t testing.TB, c *Consumer, n int) []Delivery {
	t.Helper()
	var all []Delivery
	for len(all) < n {
		some, err := c.Read(t.Context(), n-len(all))
		must(t, err)
		if len(some) == 0 {
			t.Fatalf("read %d of %d jobs", len(all), n)
		}
		all = append(all, some...)
	}
	return all
}

func stats(t testing.TB, q *Queue) Stats {
	t.Helper()
	s, err := q.Stats(t.Context())
	must(t, err)
	return s
}

// listen runs the replies of an API replica until the test ends.
func listen(t testing.TB, q *Queue) *Replies {
	t.Helper()
	r := q.NewReplies()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return r
}

func receive(t testing.TB, ch <-chan Reply) Reply {
	t.Helper()
	select {
	case r := <-ch:
		return r
	case <-time.After(20 * time.Second):
		t.Fatal("no reply")
		return Reply{}
	}
}

func TestRoundTrip(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		q := s.open(t)
		replies := listen(t, q)
		job := aJob(replies.Address(), 3)
		reply, cancel := replies.Expect(job.ID)
		defer cancel()
		must(t, q.Enqueue(t.Context(), job))

		if got := stats(t, q); got.Length != 1 || got.Lag != 1 || got.Pending != 0 || got.OldestWaiting > time.Minute {
			t.Errorf("waiting: %+v", got)
		}
		c := q.NewConsumer("a", ConsumerOptions{})
		d := read(t, c, 1)
		if !reflect.DeepEqual(d[0].Job, job) || d[0].Deliveries != 1 {
			t.Errorf("read %+v, sent %+v", d[0], job)
		}
		if got := stats(t, q); got.Length != 1 || got.Lag != 0 || got.Pending != 1 {
			t.Errorf("in hand: %+v", got)
		}

		outcomes := []node.Outcome{node.OK, node.Invalid, node.ContractNotFound}
		must(t, q.Reply(t.Context(), Reply{To: d[0].Job.ReplyTo, Job: job.ID, Outcomes: outcomes}))
		must(t, c.Done(t.Context(), d...))
		if got := receive(t, reply); got.Job != job.ID || !reflect.DeepEqual(got.Outcomes, outcomes) {
			t.Errorf("reply %+v", got)
		}
		if got := stats(t, q); got != (Stats{Processed: 1}) {
			t.Errorf("done: %+v", got)
		}
		must(t, c.Close(t.Context()))
	})
}

func TestStatsOfAnEmptyRedis(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		if got := stats(t, s.open(t)); got != (Stats{}) {
			t.Errorf("got %+v", got)
		}
	})
}

func TestFull(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		q := s.open(t, func(o *Options) { o.MaxQueue = 3 })
		enqueueJobs(t, q, 2)
		if err := q.Enqueue(t.Context(), aJob(ID{}, 1), aJob(ID{}, 1)); !errors.Is(err, ErrFull) {
			t.Errorf("two where there is room for one: %v", err)
		}
		if got := stats(t, q).Length; got != 2 {
			t.Errorf("%d jobs after a refusal, not 2", got)
		}
		enqueueJobs(t, q, 1)
		c := q.NewConsumer("a", ConsumerOptions{})
		d := read(t, c, 3)
		if err := q.Enqueue(t.Context(), aJob(ID{}, 1)); !errors.Is(err, ErrFull) || errors.Is(err, ErrUnavailable) {
			t.Errorf("what is under way counts: %v", err)
		}
		must(t, c.Done(t.Context(), d[0]))
		enqueueJobs(t, q, 1)
	})
}

func TestFullUnderConcurrency(t *testing.T) {
	onEach(t, func(t *testing.T, s *server) {
		const room, tries = 50, 200
		q := s.open(t, func(o *Options) { o.MaxQueue = room })
		added := make(chan bool, tries)
		for range tries {
			go func() {
				err := q.Enqueue(t.Context(), aJob(ID{}, 1))
				if err != nil && !errors.Is(err, ErrFull) {
					t.Error(err)
				}
				added <- err == nil
			}()
		}
		count := 0
		for range tries {
			if <-added {
				count++
			}
		}
		if got := stats(t, q).Length; count != room || got != room {
			t.Errorf("%d were added and %d are there, not %d", count, got, room)
		}
	})
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	q := startMiniredis(t).open(t)
	job := aJob(ID{}, 1)
	job.Proofs[0].Proof = make([]byte, MaxJobBytes)
	if err := q.Enqueue(t.Context(), job); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	must(t, q.Enqueue(t.Context()))
}

func TestKeysCarryTheNamespace(t *testing.T) {
	t.Parallel()
	q := startOwnRedis(t).open(t)
	replies := q.NewReplies()
	must(t, q.Enqueue(t.Context(), aJob(replies.Address(), 1), aJob(ID{}, 1)))
	c := q.NewConsumer("a", ConsumerOptions{})
	d := read(t, c, 2)
	must(t, c.DeadLetter(t.Context(), d[0], "test"))
	must(t, c.Done(t.Context(), d[1]))
	must(t, q.States().Put(t.Context(), []node.Contract{aContract(1)}))
	must(t, q.Tokens().Put(t.Context(), node.TokenHash{}, []byte("t"), time.Minute))
	_, _, err := q.Allow(t.Context(), "ip:127.0.0.1", 1, 1)
	must(t, err)
	keys, err := q.client.Keys(t.Context(), "*").Result()
	must(t, err)
	if len(keys) != 7 {
		t.Errorf("keys: %q", keys)
	}
	for _, key := range keys {
		if !strings.HasPrefix(strings.TrimPrefix(key, "rate:"), q.prefix) {
			t.Errorf("key %q", key)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"no namespace":          {URL: "redis://127.0.0.1:1"},
		"braces":                {URL: "redis://127.0.0.1:1", Namespace: "a{b}"},
		"nowhere":               {Namespace: "a"},
		"malformed URL":         {Namespace: "a", URL: "redis://u:secret@host:6379:1/x y"},
		"an unknown scheme":     {Namespace: "a", URL: "http://u:secret@127.0.0.1:1"},
		"not a database number": {Namespace: "a", URL: "redis://u:secret@127.0.0.1:1/secret"},
	} {
		if _, err := Open(t.Context(), o); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpenDoesNotNeedRedis(t *testing.T) {
	t.Parallel()
	q, err := Open(t.Context(), Options{Namespace: "a", URL: "rediss://u:p@127.0.0.1:1/4", Timeout: time.Second})
	must(t, err)
	defer q.Close()
	if o := q.client.(*redis.Client).Options(); o.TLSConfig == nil || o.DB != 4 || o.Password != "p" {
		t.Errorf("options %+v", o)
	}
	if err := q.Ping(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("ping: %v", err)
	}
}
