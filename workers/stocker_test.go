package workers_test

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
	"github.com/driveshare/downstream-node/workers"
)

var stocking = node.Inventory{MinSize: 64, MaxSize: 512, TotalSize: 10*960 + 500, Base: 2}

func newStocker(deps workers.Deps) *workers.Stocker {
	s := workers.NewStocker(deps, stocking, 2, 4)
	s.Interval = 5 * time.Millisecond
	return s
}

var errEncoder = errors.New("the encoder failed")

// inventory counts the waiting chunks by size.
func (h *harness) inventory(t *testing.T) map[int64]int64 {
	t.Helper()
	counts := map[int64]int64{}
	must(t, h.Store.ListChunks(t.Context(), func(c store.Chunk) error {
		counts[c.Size]++
		return nil
	}))
	return counts
}

// Several stockers share the work, and at the same time farmers take chunks. The
// stockers must fill all sizes equally, and must never make a chunk too many.
func TestStockersFillEquallyAndNeverOvershoot(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		full := map[int64]int64{64: 10, 128: 10, 256: 10, 512: 10}
		for range 3 {
			testnode.Background(t, func(ctx context.Context) { must(t, newStocker(h.deps()).Run(ctx)) })
		}
		look := func() bool {
			var bytes int64
			counts := h.inventory(t)
			for size, n := range counts {
				bytes += size * n
			}
			if bytes > stocking.TotalSize {
				t.Fatalf("%d bytes in the inventory: %v", bytes, counts)
			}
			return maps.Equal(counts, full)
		}
		waitFor(t, "a full inventory", look)
		for range 3 {
			_, err := h.Store.HandOut(t.Context(), h.token, 2000, store.HandOutLimits{Contracts: 7}, interval, h.Now())
			must(t, err)
			waitFor(t, "a full inventory again", look)
		}
	})
}

// Farmers must be able to prove chunks that stockers make. In the other tests, the
// tests themselves make the chunks.
func TestStockedChunkCanBeProven(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		size, err := newStocker(h.deps()).StockOne(t.Context())
		must(t, err)
		if size != 64 {
			t.Fatalf("a chunk of %d bytes, want one of the smallest", size)
		}
		handed, err := h.Store.HandOut(t.Context(), h.token, size, store.HandOutLimits{Contracts: 1}, interval, h.Now())
		must(t, err)
		h.verify(t, "worker", usual())
		h.submit(t, h.proveHanded(t, handed[0])).want(t, node.OK)
	})
}

// A stocker pauses until its reservation has ended and another stocker has made a
// new reservation. The first stocker must not add its chunk.
func TestStockerWithoutReservationAddsNothing(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		var once sync.Once
		sleepy := func(ctx context.Context) (err error) {
			once.Do(func() {
				h.Clock.Advance(time.Hour)
				<-ctx.Done()
				err = ctx.Err()
			})
			return err
		}
		h.key.encoding.Store(&sleepy)
		stocker := workers.NewStocker(h.deps(), node.Inventory{MinSize: 64, MaxSize: 64, TotalSize: 64, Base: 2}, 2, 4)
		stocker.Lease = 50 * time.Millisecond // the stocker extends the lease after each third of it
		if _, err := stocker.StockOne(t.Context()); !errors.Is(err, store.ErrReservationGone) {
			t.Errorf("%v, want ErrReservationGone", err)
		}
		if counts := h.inventory(t); len(counts) != 0 {
			t.Errorf("the inventory has %v", counts)
		}
		size, err := stocker.StockOne(t.Context())
		if err != nil || size != 64 {
			t.Errorf("the reservation is not free: %d, %v", size, err)
		}
		if size, err = stocker.StockOne(t.Context()); err != nil || size != 0 {
			t.Errorf("the inventory is full, but %d more bytes were reserved, %v", size, err)
		}
	})
}

// The lease ends during the encoding, before the stocker extends the lease. The chunk
// must not be added.
func TestChunkAfterTheLeaseIsNotAdded(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		slow := func(context.Context) error { h.Clock.Advance(time.Hour); return nil }
		h.key.encoding.Store(&slow)
		if _, err := newStocker(h.deps()).StockOne(t.Context()); !errors.Is(err, store.ErrReservationGone) {
			t.Errorf("%v, want ErrReservationGone", err)
		}
		if counts := h.inventory(t); len(counts) != 0 {
			t.Errorf("the inventory has %v", counts)
		}
	})
}

// If the encoder fails, the stocker must release its reservation immediately.
func TestFailedEncodingReleasesTheReservation(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		fail := func(context.Context) error { return errEncoder }
		h.key.encoding.Store(&fail)
		if _, err := newStocker(h.deps()).StockOne(t.Context()); !errors.Is(err, errEncoder) {
			t.Errorf("%v, want %v", err, errEncoder)
		}
		cleaned, err := h.Store.Clean(t.Context(), retention, 0, h.Now().Add(time.Hour)) // a time after the end of every lease
		if err != nil || cleaned.Reservations != 0 || len(h.inventory(t)) != 0 {
			t.Errorf("%d reservations are left, %v", cleaned.Reservations, err)
		}
	})
}
