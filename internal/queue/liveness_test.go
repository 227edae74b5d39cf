package queue

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/redisdb/redistest"
	"github.com/driveshare/downstream-node/internal/testenv"
)

// patient takes over jobs only from dead consumers.
var patient = ConsumerOptions{MinIdle: time.Hour, Block: time.Millisecond}

// idle makes the pending entries of the consumer look as if it had held them for d.
func idle(t testing.TB, c *Consumer, d time.Duration, jobs []Delivery) {
	t.Helper()
	for _, j := range jobs {
		must(t, c.q.db.Client.Do(t.Context(), "XCLAIM", c.q.jobsKey(), group, c.name, 0, j.EntryID, "IDLE", d.Milliseconds(), "JUSTID").Err())
	}
}

func live(t testing.TB, c *Consumer) (die func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { c.KeepAlive(ctx) })
	testenv.WaitFor(t, "the worker is alive", func() bool {
		return c.q.db.Client.Exists(t.Context(), c.q.aliveKey(c.name)).Val() == 1
	})
	die = func() { cancel(); running.Wait() }
	t.Cleanup(die)
	return die
}

// A worker takes over the jobs of a dead worker at once, and those of a living worker
// only after MinIdle.
func TestJobsOfADeadWorkerAreTakenOver(t *testing.T) {
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		q := open(t, s)
		dead, alive, heir := q.NewConsumer("dead", patient), q.NewConsumer("alive", patient), q.NewConsumer("heir", patient)
		enqueueJobs(t, q, 60)
		lost, kept := read(t, dead, 30), read(t, alive, 30)
		idle(t, dead, deadIdle+time.Second, lost)
		idle(t, alive, deadIdle+time.Second, kept)
		live(t, alive)

		taken, err := heir.Reclaim(t.Context(), 20)
		must(t, err)
		more, err := heir.Reclaim(t.Context(), 100)
		must(t, err)
		if len(taken) != 20 || len(more) != 10 {
			t.Fatalf("took over %d and %d jobs, want 20 and 10", len(taken), len(more))
		}
		got := holders(t, q)
		for _, d := range lost {
			if got[d.EntryID] != "heir" {
				t.Errorf("a dead worker's job is held by %s", got[d.EntryID])
			}
		}
		for _, d := range kept {
			if got[d.EntryID] != "alive" {
				t.Errorf("a living worker's job is held by %s", got[d.EntryID])
			}
		}
		for _, d := range append(taken, more...) {
			if d.Deliveries < 2 || len(d.Job.Proofs) != 1 {
				t.Errorf("delivery %d of %d proofs", d.Deliveries, len(d.Job.Proofs))
			}
		}
	})
}

// Workers of older versions have no liveness key. During a rolling upgrade their jobs
// in flight must stay theirs.
func TestFreshJobsOfAWorkerWithoutAKeyStay(t *testing.T) {
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		q := open(t, s)
		enqueueJobs(t, q, 3)
		read(t, q.NewConsumer("older version", patient), 3)
		if taken, err := q.NewConsumer("newer version", patient).Reclaim(t.Context(), 3); len(taken) > 0 || err != nil {
			t.Errorf("took over %d jobs, %v", len(taken), err)
		}
	})
}

// A liveness key lasts long enough for a late renewal, and a killed worker's key ends
// within three seconds.
func TestLivenessKey(t *testing.T) {
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		q := open(t, s)
		c := q.NewConsumer("a", patient)
		die := live(t, c)
		ttl := q.db.Client.PTTL(t.Context(), q.aliveKey("a")).Val()
		if ttl <= aliveEvery || ttl > 3*time.Second {
			t.Errorf("the key lives for %v", ttl)
		}
		die()
		must(t, c.Close(t.Context()))
		if q.db.Client.Exists(t.Context(), q.aliveKey("a")).Val() != 0 {
			t.Error("a worker that left the group still seems alive")
		}
	})
}

// Killed workers cannot leave the group. They must not stay in it for ever.
// (Miniredis does not know how long a consumer is idle. Its consumers end with the
// process.)
func TestDeadConsumersLeaveTheGroup(t *testing.T) {
	t.Parallel()
	q := open(t, redistest.Shared(t))
	enqueueJobs(t, q, 3)
	dead, holding, alive := q.NewConsumer("dead", patient), q.NewConsumer("holding", patient), q.NewConsumer("alive", patient)
	must(t, dead.Done(t.Context(), read(t, dead, 1)...))
	must(t, alive.Done(t.Context(), read(t, alive, 1)...))
	read(t, holding, 1)
	live(t, alive)
	names := func() (names []string) {
		consumers, err := q.db.Client.XInfoConsumers(t.Context(), q.jobsKey(), group).Result()
		must(t, err)
		for _, c := range consumers {
			names = append(names, c.Name)
		}
		slices.Sort(names)
		return names
	}
	look := func(forget time.Duration) {
		t.Helper()
		must(t, findHolders.Run(t.Context(), q.db.Client, []string{q.jobsKey()},
			group, "me", q.aliveKey(""), time.Hour.Milliseconds(), forget.Milliseconds()).Err())
	}
	look(forgetAfter)
	if got := names(); !slices.Equal(got, []string{"alive", "dead", "holding"}) {
		t.Errorf("at once: %v", got)
	}
	testenv.WaitFor(t, "the dead consumer has left", func() bool {
		look(time.Millisecond)
		return slices.Equal(names(), []string{"alive", "holding"})
	})
}

// Read and Reclaim report each job that they settle without a verdict.
func TestDroppedJobsAreReported(t *testing.T) {
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		q := open(t, s)
		dropped := map[Reason]int{}
		o := ConsumerOptions{MinIdle: time.Millisecond, MaxDeliveries: 1, Block: time.Millisecond, Dropped: func(r Reason) { dropped[r]++ }}
		c := q.NewConsumer("a", o)
		late := aJob(ID{}, 1)
		late.Deadline = time.Now().Add(-time.Second)
		must(t, q.Enqueue(t.Context(), late))
		must(t, q.db.Client.Do(t.Context(), "XADD", q.jobsKey(), "*", jobField, "malformed").Err())
		enqueueJobs(t, q, 1)
		testenv.WaitFor(t, "the last job is read", func() bool {
			d, err := c.Read(t.Context(), 1)
			must(t, err)
			return len(d) == 1
		})
		testenv.WaitFor(t, "the job was delivered too often", func() bool {
			_, err := c.Reclaim(t.Context(), 10)
			must(t, err)
			return dropped[Deliveries] == 1
		})
		if dropped[Late] != 1 || dropped[Malformed] != 1 || len(dropped) != 3 {
			t.Errorf("%v", dropped)
		}
	})
}
