package workers

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/queue"
)

func deliveries(from, n, proofs int) []queue.Delivery {
	out := make([]queue.Delivery, n)
	for i := range out {
		out[i] = queue.Delivery{EntryID: fmt.Sprint(from + i), Job: queue.Job{Proofs: make([]queue.Proof, proofs)}}
	}
	return out
}

// Proofs take room until they are verified. Jobs take room until they are released.
func TestInflightRoom(t *testing.T) {
	f := newInflight(2, 400, 8, 100)
	want := func(room int) {
		t.Helper()
		if got := f.room(); got != room {
			t.Fatalf("room for %d jobs, want %d", got, room)
		}
	}
	want(4)
	large := deliveries(0, 4, 100)
	f.add(large)
	want(0)
	f.verified(large[0])
	want(1)
	small := deliveries(4, 1, 1)
	f.add(small)
	want(3) // jobs are small now, so the limit of jobs applies
	f.add(deliveries(5, 3, 0))
	want(0)
	f.release(large[0])
	want(1)
	if n := len(f.rest()); n != 7 {
		t.Errorf("%d jobs in flight, want 7", n)
	}
}

func TestWaitForRoomEndsWithRoomOrTheContext(t *testing.T) {
	f := newInflight(1, 100, 8, 100)
	full := deliveries(0, 1, 100)
	f.add(full)
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan int)
	go func() {
		got <- f.waitForRoom(ctx)
		got <- f.waitForRoom(ctx)
	}()
	select {
	case n := <-got:
		t.Fatalf("room for %d jobs although inflight is full", n)
	case <-time.After(10 * time.Millisecond):
	}
	f.verified(full[0])
	if n := <-got; n != 1 {
		t.Fatalf("room for %d, want 1", n)
	}
	<-got
	f.add(full)
	go func() { got <- f.waitForRoom(ctx) }()
	cancel()
	if n := <-got; n != 0 {
		t.Errorf("room for %d after the context ended", n)
	}
}

// The longer it takes to verify a proof, the fewer proofs a worker reads, so that
// other workers read the rest.
func TestInflightAdaptsToTheTimeOfAProof(t *testing.T) {
	f := newInflight(2, 400, 1000, 1)
	one := deliveries(0, 1, 1)[0]
	f.measure(one, maxWait/10)
	if got := f.room(); got != 20 {
		t.Errorf("room for %d proofs that take a tenth of maxWait, for two verifiers; want 20", got)
	}
	f.measure(one, 1000*maxWait)
	if got := f.room(); got != 1 {
		t.Errorf("room for %d of the slowest proofs, want 1", got)
	}
	for range 200 {
		f.measure(one, time.Microsecond)
	}
	if got := f.room(); got != 400 {
		t.Errorf("room for %d of the fastest proofs, want the limit, 400", got)
	}
}
