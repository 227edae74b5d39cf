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

func stocking() workers.StockerOptions {
	return workers.StockerOptions{
		Inventory: node.Inventory{MinSize: 64, MaxSize: 512, TotalSize: 10*960 + 500, Base: 2},
		Encoders:  2, Interval: 5 * time.Millisecond, Lease: time.Minute, Challenges: 4,
	}
}

var errEncoder = errors.New("no encoder today")

// inventory counts the chunks that wait, by size.
func (h *harness) inventory(t *testing.T) map[int64]int64 {
	t.Helper()
	counts := map[int64]int64{}
	must(t, h.Store.ListChunks(t.Context(), func(c store.Chunk) error {
		counts[c.Size]++
		return nil
	}))
	return counts
}

// Several stockers share the work, while farmers take chunks: they fill all
// sizes alike, to the last chunk and never beyond.
func TestStockersFillEquallyAndNeverOvershoot(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		opt := stocking()
		full := map[int64]int64{64: 10, 128: 10, 256: 10, 512: 10}
		for range 3 {
			testnode.Background(t, func(ctx context.Context) { must(t, workers.NewStocker(h.deps(), opt).Run(ctx)) })
		}
		look := func() bool {
			var bytes int64
			counts := h.inventory(t)
			for size, n := range counts {
				bytes += size * n
			}
			if bytes > opt.Inventory.TotalSize {
				t.Fatalf("%d bytes in store: %v", bytes, counts)
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

// What stockers make can be farmed: TestVerdicts and the API's tests use
// chunks that tests made.
func TestStockedChunkIsWhatItSays(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		size, err := workers.NewStocker(h.deps(), stocking()).StockOne(t.Context())
		must(t, err)
		if size != 64 {
			t.Fatalf("a chunk of %d bytes, want one of the smallest", size)
		}
		handed, err := h.Store.HandOut(t.Context(), h.token, size, store.HandOutLimits{Contracts: 1}, interval, h.Now())
		must(t, err)
		h.verify(t, usual("worker"))
		h.submit(t, h.proveHanded(t, handed[0])).want(t, node.OK)
	})
}

// A stocker that lost its place in the inventory, because it was paused for
// long, lays nothing in store: another has taken the place.
func TestStockerThatLostItsPlaceLaysNothing(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		opt := stocking()
		opt.Inventory = node.Inventory{MinSize: 64, MaxSize: 64, TotalSize: 64, Base: 2}
		opt.Lease = 50 * time.Millisecond // looked after every third of it
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
		stocker := workers.NewStocker(h.deps(), opt)
		if _, err := stocker.StockOne(t.Context()); !errors.Is(err, store.ErrReservationGone) {
			t.Errorf("%v, want ErrReservationGone", err)
		}
		if counts := h.inventory(t); len(counts) != 0 {
			t.Errorf("%v in store", counts)
		}
		size, err := stocker.StockOne(t.Context())
		if err != nil || size != 64 {
			t.Errorf("the place is not free: %d, %v", size, err)
		}
		if size, err = stocker.StockOne(t.Context()); err != nil || size != 0 {
			t.Errorf("the inventory is full, and %d more bytes are made, %v", size, err)
		}
	})
}

// One that finishes in time, by its own reckoning, and is too late by the
// database's.
func TestChunkThatComesTooLateIsNotLaidInStore(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		slow := func(context.Context) error { h.Clock.Advance(time.Hour); return nil }
		h.key.encoding.Store(&slow)
		if _, err := workers.NewStocker(h.deps(), stocking()).StockOne(t.Context()); !errors.Is(err, store.ErrReservationGone) {
			t.Errorf("%v, want ErrReservationGone", err)
		}
		if counts := h.inventory(t); len(counts) != 0 {
			t.Errorf("%v in store", counts)
		}
	})
}

// An encoder that fails gives its place back at once.
func TestFailedEncodingGivesThePlaceBack(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		fail := func(context.Context) error { return errEncoder }
		h.key.encoding.Store(&fail)
		if _, err := workers.NewStocker(h.deps(), stocking()).StockOne(t.Context()); !errors.Is(err, errEncoder) {
			t.Errorf("%v, want %v", err, errEncoder)
		}
		counts, err := h.Store.InventoryCounts(t.Context(), h.Keys.Current().ID, h.Now())
		if err != nil || len(counts) != 0 {
			t.Errorf("%v is reserved, %v", counts, err)
		}
	})
}
