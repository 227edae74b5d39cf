package queue

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/redisdb"
	"github.com/driveshare/downstream-node/internal/redisdb/redistest"
)

// aJob returns a job of n proofs with a deadline in one minute.
func aJob(replyTo ID, n int) Job {
	now := time.Now().UTC().Truncate(time.Microsecond)
	j := Job{
		ID: NewID(), ReplyTo: replyTo, KeyID: 3, TokenID: 7,
		Received: now, Deadline: now.Add(time.Minute), Proofs: make([]Proof, n),
	}
	for i := range j.Proofs {
		j.Proofs[i] = Proof{FileHash: node.FileHash{byte(i), 1}, Proof: []byte(strings.Repeat("p", i))}
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

// listen reads the replies of an API replica until the test ends.
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
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		q := open(t, s)
		replies := listen(t, q)
		job := aJob(replies.Address(), 3)
		reply, cancel := replies.Expect(job.ID)
		defer cancel()
		must(t, q.Enqueue(t.Context(), job))

		if got := stats(t, q); got.Length != 1 || got.Pending != 0 || got.OldestWaiting > time.Minute {
			t.Errorf("waiting: %+v", got)
		}
		c := q.NewConsumer("a", ConsumerOptions{})
		d := read(t, c, 1)
		if !reflect.DeepEqual(d[0].Job, job) || d[0].Deliveries != 1 {
			t.Errorf("read %+v, sent %+v", d[0], job)
		}
		if got := stats(t, q); got.Length != 1 || got.Pending != 1 {
			t.Errorf("in flight: %+v", got)
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
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		if got := stats(t, open(t, s)); got != (Stats{}) {
			t.Errorf("got %+v", got)
		}
	})
}

func TestFullQueueRefusesJobs(t *testing.T) {
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		q := open(t, s, func(o *options) { o.MaxQueue = 3 })
		enqueueJobs(t, q, 2)
		if err := q.Enqueue(t.Context(), aJob(ID{}, 1), aJob(ID{}, 1)); !errors.Is(err, ErrFull) {
			t.Errorf("two jobs with room for one: %v", err)
		}
		if got := stats(t, q).Length; got != 2 {
			t.Errorf("%d jobs after a refusal, want 2", got)
		}
		enqueueJobs(t, q, 1)
		c := q.NewConsumer("a", ConsumerOptions{})
		d := read(t, c, 3)
		if err := q.Enqueue(t.Context(), aJob(ID{}, 1)); !errors.Is(err, ErrFull) || errors.Is(err, redisdb.ErrUnavailable) {
			t.Errorf("jobs in flight must count: %v", err)
		}
		must(t, c.Done(t.Context(), d[0]))
		enqueueJobs(t, q, 1)
	})
}

func TestConcurrentCallsDoNotOverfillTheQueue(t *testing.T) {
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		const room, tries = 50, 200
		q := open(t, s, func(o *options) { o.MaxQueue = room })
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
			t.Errorf("Enqueue added %d jobs and the queue has %d, want %d", count, got, room)
		}
	})
}

func TestEnqueueRefusesALargeJob(t *testing.T) {
	t.Parallel()
	q := open(t, redistest.Miniredis(t))
	job := aJob(ID{}, 1)
	job.Proofs[0].Proof = make([]byte, MaxJobBytes)
	if err := q.Enqueue(t.Context(), job); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	must(t, q.Enqueue(t.Context()))
}

func TestKeysStartWithTheNamespace(t *testing.T) {
	t.Parallel()
	q := open(t, redistest.Own(t))
	replies := q.NewReplies()
	must(t, q.Enqueue(t.Context(), aJob(replies.Address(), 1), aJob(ID{}, 1)))
	c := q.NewConsumer("a", ConsumerOptions{})
	d := read(t, c, 2)
	must(t, c.DeadLetter(t.Context(), d[0], "test"))
	must(t, c.Done(t.Context(), d[1]))
	must(t, q.db.Contracts().Put(t.Context(), []node.Contract{{}}))
	must(t, q.db.Tokens().Put(t.Context(), node.TokenHash{}, []byte("t"), time.Minute))
	_, _, err := q.db.Allow(t.Context(), "ip:127.0.0.1", 1, 1)
	must(t, err)
	keys, err := q.db.Client.Keys(t.Context(), "*").Result()
	must(t, err)
	if len(keys) != 7 {
		t.Errorf("keys: %q", keys)
	}
	for _, key := range keys {
		if !strings.HasPrefix(strings.TrimPrefix(key, "rate:"), q.db.Key("")) {
			t.Errorf("key %q", key)
		}
	}
}
