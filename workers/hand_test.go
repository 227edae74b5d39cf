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

// Room is reckoned in proofs until they are verified, and in jobs until they
// are let go.
func TestHand(t *testing.T) {
	h := newHand(2, 400, 8, 100)
	want := func(free int) {
		t.Helper()
		if got := h.free(); got != free {
			t.Fatalf("room for %d jobs, want %d", got, free)
		}
	}
	want(4)
	large := deliveries(0, 4, 100)
	h.take(large)
	want(0)
	h.verified(large[0])
	want(1)
	small := deliveries(4, 1, 1)
	h.take(small)
	want(3) // of jobs like the last one, bounded by their number
	h.take(deliveries(5, 3, 0))
	want(0)
	h.letGo(large[0])
	want(1)
	if n := len(h.rest()); n != 7 {
		t.Errorf("%d jobs in hand, want 7", n)
	}
}

// A hand that was full wakes who waits for room, and so does the end.
func TestHandWaits(t *testing.T) {
	h := newHand(1, 100, 8, 100)
	full := deliveries(0, 1, 100)
	h.take(full)
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan int)
	go func() {
		got <- h.room(ctx)
		got <- h.room(ctx)
	}()
	select {
	case n := <-got:
		t.Fatalf("room for %d in a full hand", n)
	case <-time.After(10 * time.Millisecond):
	}
	h.verified(full[0])
	if n := <-got; n != 1 {
		t.Fatalf("room for %d, want 1", n)
	}
	<-got
	h.take(full)
	go func() { got <- h.room(ctx) }()
	cancel()
	if n := <-got; n != 0 {
		t.Errorf("room for %d after the end", n)
	}
}

// The heavier proofs are to verify, the fewer a worker takes: others may have
// their hands free.
func TestHandLearns(t *testing.T) {
	h := newHand(2, 400, 1000, 1)
	one := deliveries(0, 1, 1)[0]
	h.learn(one, handTime/10)
	if got := h.free(); got != 20 {
		t.Errorf("room for %d proofs of a tenth of the time, for two verifiers; want 20", got)
	}
	h.learn(one, 1000*handTime)
	if got := h.free(); got != 1 {
		t.Errorf("room for %d of the heaviest, want 1", got)
	}
	for range 200 {
		h.learn(one, time.Microsecond)
	}
	if got := h.free(); got != 400 {
		t.Errorf("room for %d of the lightest, want the bound, 400", got)
	}
}
