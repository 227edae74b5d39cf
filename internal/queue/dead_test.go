package queue

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/redisdb/redistest"
)

func letters(t testing.TB, q *Queue) (all []DeadLetter) {
	t.Helper()
	must(t, q.DeadLetters(t.Context(), func(d DeadLetter) error {
		all = append(all, d)
		return nil
	}))
	return all
}

func TestRetryAndDropDeadLetters(t *testing.T) {
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		q := open(t, s)
		if all := letters(t, q); len(all) > 0 {
			t.Fatalf("%d dead letters in an empty Redis", len(all))
		}
		must(t, q.db.Client.Do(t.Context(), "XADD", q.jobsKey(), "*", jobField, "not a job").Err())
		const n = deadPage + 2
		sent := enqueueJobs(t, q, n)
		large := aJob(NewID(), 100) // as large as an API replica makes a job
		for i := range large.Proofs {
			large.Proofs[i].Proof = []byte(strings.Repeat("p", 5<<10))
		}
		must(t, q.Enqueue(t.Context(), large))
		sent = append(sent, large)
		c := q.NewConsumer("worker", ConsumerOptions{})
		for _, d := range read(t, c, len(sent)) {
			must(t, c.DeadLetter(t.Context(), d, "panic: test"))
		}

		all := letters(t, q)
		if len(all) != len(sent)+1 {
			t.Fatalf("%d dead letters, want %d", len(all), len(sent)+1)
		}
		malformed := all[0] // Read settles it first
		if malformed.Malformed == nil || !strings.Contains(malformed.Reason, "malformed") {
			t.Errorf("%+v", malformed)
		}
		for i, d := range all[1:] {
			if d.Malformed != nil || !reflect.DeepEqual(d.Job, sent[i]) || d.Reason != "panic: test" ||
				d.Consumer != "worker" || d.Deliveries != 1 || time.Since(d.Time).Abs() > time.Minute {
				t.Errorf("dead letter %d: %+v, want job %+v", i, d, sent[i])
			}
		}

		deadline := time.Now().UTC().Truncate(time.Microsecond).Add(time.Minute)
		if err := q.RetryDeadLetter(t.Context(), malformed, deadline); err == nil || !strings.Contains(err.Error(), "drop it") {
			t.Errorf("retry of a malformed job: %v", err)
		}
		must(t, q.DropDeadLetter(t.Context(), malformed.ID))
		must(t, q.DropDeadLetter(t.Context(), malformed.ID))
		for _, d := range all[1:] {
			must(t, q.RetryDeadLetter(t.Context(), d, deadline))
		}
		if rest := letters(t, q); len(rest) > 0 {
			t.Errorf("%d dead letters are left", len(rest))
		}
		for i, d := range read(t, c, len(sent)) {
			want := sent[i]
			want.ID, want.ReplyTo, want.Deadline = d.Job.ID, ID{}, deadline
			if !reflect.DeepEqual(d.Job, want) || d.Job.ID == sent[i].ID {
				t.Errorf("read %+v, want %+v with another id", d.Job, want)
			}
			must(t, c.Done(t.Context(), d))
		}
	})
}

// A full queue takes no dead letter. The letter must remain.
func TestRetryWithoutRoomKeepsTheDeadLetter(t *testing.T) {
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		q := open(t, s, func(o *options) { o.MaxQueue = 1 })
		enqueueJobs(t, q, 1)
		c := q.NewConsumer("a", ConsumerOptions{})
		must(t, c.DeadLetter(t.Context(), read(t, c, 1)[0], "test"))
		enqueueJobs(t, q, 1)
		if err := q.RetryDeadLetter(t.Context(), letters(t, q)[0], time.Now().Add(time.Minute)); !errors.Is(err, ErrFull) {
			t.Errorf("%v, want %v", err, ErrFull)
		}
		if n := len(letters(t, q)); n != 1 {
			t.Errorf("%d dead letters, want 1", n)
		}
	})
}
