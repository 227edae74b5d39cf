package store

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

var inventory = node.Inventory{MinSize: 1, MaxSize: 8, TotalSize: 150, Base: 2}

const lease = time.Minute

func TestConcurrentReservations(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		stores := []*Store{f.Store, openStore(t, f.cfg)}
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for {
					r, ok, err := stores[w%2].Reserve(t.Context(), f.key, inventory, lease, start)
					if err != nil {
						t.Error(err)
					}
					if err != nil || !ok {
						return
					}
					if err := stores[w%2].Stock(t.Context(), r.ID, f.chunk(r.Size), start); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		counts, err := inventoryCounts(f.reader(t.Context()), f.key, start)
		must(t, err)
		var bytes int64
		for _, size := range []int64{1, 2, 4, 8} {
			if counts[size] != 10 {
				t.Errorf("%d chunks of %d bytes, want 10", counts[size], size)
			}
			bytes += counts[size] * size
		}
		if bytes != 150 || len(counts) != 4 {
			t.Errorf("%d bytes in %v", bytes, counts)
		}
		if n := f.count(t, "reservations", "1 = 1"); n != 0 {
			t.Errorf("%d reservations left", n)
		}
	})
}

func TestReservation(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		one := node.Inventory{MinSize: 8, MaxSize: 8, TotalSize: 8, Base: 2}
		reserve := func(at time.Time, want bool) Reservation {
			t.Helper()
			r, ok, err := f.Reserve(ctx, f.key, one, lease, at)
			must(t, err)
			if ok != want {
				t.Fatalf("reserved: %t, want %t", ok, want)
			}
			return r
		}
		first := reserve(start, true)
		reserve(start, false)
		must(t, f.ExtendLease(ctx, first.ID, lease, start.Add(lease/2)))
		reserve(start.Add(lease), false)

		// The lease has ended. Another reservation replaces the first reservation,
		// and the store must refuse the first one.
		later := start.Add(2 * lease)
		second := reserve(later, true)
		wantErr(t, f.ExtendLease(ctx, first.ID, lease, later), ErrReservationGone)
		wantErr(t, f.Stock(ctx, first.ID, f.chunk(8), later), ErrReservationGone)
		if n := f.count(t, "files", "1 = 1") + f.count(t, "tags", "1 = 1") + f.count(t, "chunks", "1 = 1"); n != 0 {
			t.Errorf("%d rows are left of a failed Stock", n)
		}
		must(t, f.ReleaseReservation(ctx, second.ID))
		wantErr(t, f.Stock(ctx, second.ID, f.chunk(8), later), ErrReservationGone)
		third := reserve(later, true)
		must(t, f.Stock(ctx, third.ID, f.chunk(8), later))
		reserve(later, false)
		if n, err := f.dropStaleReservations(ctx, later); err != nil || n != 1 {
			t.Errorf("dropped %d reservations, %v; want the first", n, err)
		}
		_, _, err := f.Reserve(ctx, f.key, node.Inventory{}, lease, later)
		if err == nil {
			t.Error("Reserve accepts an inventory without sizes")
		}
	})
}

func TestStockFails(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		chunk := f.chunk(8)
		chunk.Redundancy = 2
		must(t, f.Stock(t.Context(), 0, chunk, start))
		wantErr(t, f.Stock(t.Context(), 0, chunk, start), ErrFileExists)

		broken := errors.New("broken disk")
		chunk = f.chunk(8)
		chunk.Tag = iotest.ErrReader(broken)
		wantErr(t, f.Stock(t.Context(), 0, chunk, start), broken)
		for _, table := range []string{"files", "tags", "chunks"} {
			if n := f.count(t, table, "1 = 1"); n != 1 {
				t.Errorf("%d rows in %s, want 1", n, table)
			}
		}
	})
}

func TestListAndClearChunks(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		const stocked = batchRows + 3
		for range stocked {
			f.stock(t, 10)
		}
		taken, err := f.HandOut(ctx, f.token(t, "address"), 10, HandOutLimits{Contracts: 1}, interval, start)
		must(t, err)
		var listed int
		var last Chunk
		must(t, f.ListChunks(ctx, func(c Chunk) error {
			if c.ID <= last.ID || c.Size != 10 || c.KeyID != f.key || c.TagSize == 0 || c.Created != start ||
				!bytes.HasPrefix([]byte(c.Seed), []byte("seed")) || c.FileHash == taken[0].FileHash {
				t.Errorf("chunk %+v", c)
			}
			last = c
			listed++
			return nil
		}))
		if listed != stocked-1 {
			t.Errorf("listed %d chunks, want %d", listed, stocked-1)
		}
		if chunks, bytes, err := f.WaitingSize(ctx); err != nil || chunks != stocked-1 || bytes != 10*(stocked-1) {
			t.Errorf("%d chunks of %d bytes wait: %v", chunks, bytes, err)
		}
		stop := errors.New("stop")
		wantErr(t, f.ListChunks(ctx, func(Chunk) error { return stop }), stop)

		n, err := f.ClearChunks(ctx)
		must(t, err)
		if n != stocked-1 || f.count(t, "chunks", "1 = 1") != 0 {
			t.Errorf("cleared %d chunks", n)
		}
		if files, tags := f.count(t, "files", "1 = 1"), f.count(t, "tags", "1 = 1"); files != 1 || tags != 1 {
			t.Errorf("%d files and %d tags left, want the one of the contract", files, tags)
		}
	})
}
