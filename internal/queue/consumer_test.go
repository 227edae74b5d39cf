package queue

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/redisdb/redistest"
	"github.com/driveshare/downstream-node/internal/testenv"
)

// atOnce lets a consumer reclaim the entries of another consumer after a
// millisecond.
var atOnce = ConsumerOptions{MinIdle: time.Millisecond, MaxDeliveries: 3}

// reclaim reclaims exactly n jobs. They must be all the pending jobs. It first
// waits until all jobs have been idle for long enough, because a second call would
// reclaim the jobs of the first call again.
func reclaim(t testing.TB, c *Consumer, n int) []Delivery {
	t.Helper()
	testenv.WaitFor(t, "all have lain long enough", func() bool {
		idle, err := c.q.db.Client.XPendingExt(t.Context(), &redis.XPendingExtArgs{
			Stream: c.q.jobsKey(), Group: group, Idle: 2 * c.o.MinIdle, Start: "-", End: "+", Count: int64(n),
		}).Result()
		must(t, err)
		return len(idle) == n
	})
	taken, err := c.Reclaim(t.Context(), n)
	must(t, err)
	if len(taken) != n {
		t.Fatalf("reclaimed %d of %d jobs", len(taken), n)
	}
	return taken
}

// holders returns the consumer of each pending entry.
func holders(t testing.TB, q *Queue) map[string]string {
	t.Helper()
	pending, err := q.db.Client.XPendingExt(t.Context(), &redis.XPendingExtArgs{
		Stream: q.jobsKey(), Group: group, Start: "-", End: "+", Count: 10_000,
	}).Result()
	must(t, err)
	held := make(map[string]string)
	for _, p := range pending {
		held[p.ID] = p.Consumer
	}
	return held
}

func TestReclaimFromADeadConsumer(t *testing.T) {
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		q := open(t, s)
		dead, alive := q.NewConsumer("dead", atOnce), q.NewConsumer("alive", atOnce)
		jobs := enqueueJobs(t, q, 250) // more than XAUTOCLAIM scans in one step
		read(t, dead, len(jobs))

		taken := reclaim(t, alive, len(jobs))
		seen := make(map[ID]bool)
		for _, d := range taken {
			seen[d.Job.ID] = true
			if d.Deliveries < 2 {
				t.Errorf("%s: delivery %d", d.EntryID, d.Deliveries)
			}
		}
		for _, j := range jobs {
			if !seen[j.ID] {
				t.Errorf("job %s was lost", j.ID)
			}
		}
		must(t, alive.Done(t.Context(), taken...))
		if got := stats(t, q); got.Length != 0 || got.Processed != int64(len(jobs)) {
			t.Errorf("%+v", got)
		}
	})
}

func TestReclaimLeavesJobsInFlight(t *testing.T) {
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		q := open(t, s)
		patient := ConsumerOptions{MinIdle: time.Hour}
		enqueueJobs(t, q, 3)
		read(t, q.NewConsumer("a", patient), 3)
		taken, err := q.NewConsumer("b", patient).Reclaim(t.Context(), 3)
		if len(taken) > 0 || err != nil {
			t.Errorf("reclaimed %d: %v", len(taken), err)
		}
	})
}

// A worker pauses, and another worker takes over its jobs. Calls of the first
// worker for these jobs must then have no effect.
func TestPausedConsumerResumes(t *testing.T) {
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		q := open(t, s)
		paused, other := q.NewConsumer("paused", atOnce), q.NewConsumer("other", atOnce)
		enqueueJobs(t, q, 2)
		old := read(t, paused, 2)
		taken := reclaim(t, other, 2)

		must(t, other.Done(t.Context(), taken[0]))
		must(t, paused.HandBack(t.Context(), old...))
		if got := holders(t, q); len(got) != 1 || got[taken[1].EntryID] != "other" {
			t.Errorf("held by %v", got)
		}
		must(t, paused.Done(t.Context(), old...)) // the worker's verdicts are committed, and count once
		must(t, other.Done(t.Context(), taken[1]))
		if got := stats(t, q); got.Length != 0 || got.Pending != 0 {
			t.Errorf("%+v", got)
		}
		must(t, paused.Close(t.Context()))
	})
}

func TestMalformedJobAmongAThousand(t *testing.T) {
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		q := open(t, s)
		replies := listen(t, q)
		c := q.NewConsumer("a", ConsumerOptions{})
		enqueueJobs(t, q, 500)
		for _, values := range [][]string{{jobField, "\x01 is not a job"}, {"another", "field"}} {
			must(t, q.db.Client.XAdd(t.Context(), &redis.XAddArgs{Stream: q.jobsKey(), Values: values}).Err())
		}
		panics := aJob(replies.Address(), 2)
		reply, cancel := replies.Expect(panics.ID)
		defer cancel()
		must(t, q.Enqueue(t.Context(), panics))
		enqueueJobs(t, q, 500)

		good := read(t, c, 1001)
		var judged []Delivery
		for _, d := range good {
			if d.Job.ID == panics.ID {
				must(t, c.DeadLetter(t.Context(), d, "panic: test"))
				continue
			}
			judged = append(judged, d)
		}
		must(t, c.Done(t.Context(), judged...))

		if got := receive(t, reply).Outcomes; len(got) != 2 || got[0] != node.Undecided || got[1] != node.Undecided {
			t.Errorf("replies %v", got)
		}
		got := stats(t, q)
		if got != (Stats{Processed: 1000, Dead: 3, DeadLetters: 3}) {
			t.Errorf("%+v", got)
		}
		letters, err := q.db.Client.XRange(t.Context(), q.deadKey(), "-", "+").Result()
		must(t, err)
		for i, reason := range []string{"job: malformed: 3 bytes missing", "job: malformed: 1 bytes missing", "panic: test"} {
			if got := letters[i].Values["reason"]; got != reason {
				t.Errorf("letter %d: %v", i, letters[i].Values)
			}
		}
		if body := letters[2].Values[jobField].(string); body != string(appendJob(nil, &panics)) {
			t.Error("the dead letter does not contain the job")
		}
	})
}

func TestJobDeliveredTooOften(t *testing.T) {
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		q := open(t, s)
		replies := listen(t, q)
		job := aJob(replies.Address(), 1)
		reply, cancel := replies.Expect(job.ID)
		defer cancel()
		must(t, q.Enqueue(t.Context(), job))
		c := q.NewConsumer("a", atOnce)
		read(t, c, 1)
		for want := int64(2); want <= atOnce.MaxDeliveries; want++ {
			if got := reclaim(t, c, 1)[0].Deliveries; got != want {
				t.Fatalf("delivery %d, not %d", got, want)
			}
		}
		testenv.WaitFor(t, "it is dead", func() bool {
			taken, err := c.Reclaim(t.Context(), 1)
			must(t, err)
			if len(taken) > 0 {
				t.Fatalf("delivery %d", taken[0].Deliveries)
			}
			return stats(t, q).Dead == 1
		})
		if got := receive(t, reply); got.Outcomes[0] != node.Undecided {
			t.Errorf("reply %v", got.Outcomes)
		}
		if got := stats(t, q); got.Length != 0 || got.DeadLetters != 1 {
			t.Errorf("%+v", got)
		}
	})
}

func TestDeadline(t *testing.T) {
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		var later atomic.Int64
		q := open(t, s, func(o *options) {
			o.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
		})
		replies := listen(t, q)
		c := q.NewConsumer("a", ConsumerOptions{MinIdle: time.Millisecond, Block: time.Millisecond})
		fresh, late := aJob(replies.Address(), 1), aJob(replies.Address(), 2)
		must(t, q.Enqueue(t.Context(), fresh))
		read(t, c, 1)
		var told [2]<-chan Reply
		for i, id := range []ID{fresh.ID, late.ID} {
			ch, cancel := replies.Expect(id)
			defer cancel()
			told[i] = ch
		}
		must(t, q.Enqueue(t.Context(), late))
		later.Store(int64(time.Hour))

		taken, err := c.Read(t.Context(), 10)
		if len(taken) > 0 || err != nil {
			t.Errorf("read %v: %v", taken, err)
		}
		testenv.WaitFor(t, "the other is late too", func() bool {
			taken, err := c.Reclaim(t.Context(), 10)
			if len(taken) > 0 || err != nil {
				t.Fatalf("reclaimed %v: %v", taken, err)
			}
			return stats(t, q).Late == 2
		})
		for i, n := range []int{1, 2} {
			if got := receive(t, told[i]).Outcomes; len(got) != n || got[0] != node.Undecided {
				t.Errorf("replies %v", got)
			}
		}
		if got := stats(t, q); got != (Stats{Late: 2}) {
			t.Errorf("%+v", got)
		}
	})
}

func TestHandBack(t *testing.T) {
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		q := open(t, s)
		patient := ConsumerOptions{MinIdle: time.Hour, Block: time.Millisecond}
		leaving, other := q.NewConsumer("leaving", patient), q.NewConsumer("other", patient)
		enqueueJobs(t, q, 20)
		d := read(t, leaving, 20)
		must(t, leaving.Done(t.Context(), d[:5]...))
		must(t, leaving.HandBack(t.Context(), d[5:]...))
		must(t, leaving.Close(t.Context()))

		taken, err := other.Reclaim(t.Context(), 100)
		must(t, err)
		if len(taken) != 15 {
			t.Fatalf("reclaimed %d jobs, want 15", len(taken))
		}
		for _, d := range taken {
			if d.Deliveries != 1 {
				t.Errorf("delivery %d, want 1: a job that was handed back does not count", d.Deliveries)
			}
		}
		must(t, other.Done(t.Context(), taken...))
		consumers, err := q.db.Client.XInfoConsumers(t.Context(), q.jobsKey(), group).Result()
		must(t, err)
		for _, c := range consumers {
			if c.Name == "leaving" || c.Pending != 0 {
				t.Errorf("consumer %+v", c)
			}
		}
	})
}

func TestCloseKeepsPendingJobs(t *testing.T) {
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		q := open(t, s)
		a, b := q.NewConsumer("a", atOnce), q.NewConsumer("b", atOnce)
		must(t, a.Close(t.Context())) // before the group exists
		enqueueJobs(t, q, 2)
		read(t, a, 2)
		must(t, a.Close(t.Context()))
		must(t, b.Done(t.Context(), reclaim(t, b, 2)...))
	})
}

// If its context ends during a read, Read must return the jobs of this read. The
// next Read must return none.
func TestReadAfterItsContextEnds(t *testing.T) {
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		q := open(t, s)
		c := q.NewConsumer("a", ConsumerOptions{Block: 20 * time.Second})
		enqueueJobs(t, q, 1)
		must(t, c.Done(t.Context(), read(t, c, 1)...)) // the group exists now
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		reading := sent(q, "xreadgroup")
		got := make(chan []Delivery)
		go func() {
			d, err := c.Read(ctx, 5)
			if err != nil {
				t.Error(err)
			}
			got <- d
		}()
		<-reading
		<-ctx.Done()
		enqueueJobs(t, q, 1)
		if d := <-got; len(d) != 1 {
			t.Errorf("read %d", len(d))
		}
		if _, err := c.Read(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if _, err := c.Reclaim(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// onCommand signals that a command with this name is about to be sent to Redis.
type onCommand struct {
	name string
	sent chan struct{}
}

func (h onCommand) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h onCommand) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h onCommand) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == h.name {
			select {
			case h.sent <- struct{}{}:
			default:
			}
		}
		return next(ctx, cmd)
	}
}

// sent returns a channel that receives when such a command is being sent.
func sent(q *Queue, name string) <-chan struct{} {
	h := onCommand{name: name, sent: make(chan struct{}, 1)}
	q.db.Client.AddHook(h)
	return h.sent
}
