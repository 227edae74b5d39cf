package store

import (
	"math"
	"reflect"
	"testing"

	"github.com/driveshare/downstream-node/internal/node"
)

// A copy counts from its first proof until its contract ends. Files without a live copy do not
// count.
func TestProvedCopiesAreCounted(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		all := threefold(1 << 20)
		one, two := f.farmerAt(t, "a", "10.1.0.1", ""), f.farmerAt(t, "b", "10.2.0.1", "")
		plain := f.contracts(t, one, start, 8)[0].FileHash // has no row in contents
		check := func(counts ...CopyCount) {
			t.Helper()
			got, err := f.CopyCounts(t.Context())
			must(t, err)
			if len(got)+len(counts) > 0 && !reflect.DeepEqual(got, counts) {
				t.Errorf("%+v, want %+v", got, counts)
			}
		}
		list := func(below int64, limit int, want ...HeldFile) {
			t.Helper()
			got, err := f.HeldFiles(t.Context(), below, limit)
			must(t, err)
			if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
				t.Errorf("%+v, want %+v", got, want)
			}
		}
		copies := func(hash node.FileHash, want ...Copy) {
			t.Helper()
			size, got, err := f.FileCopies(t.Context(), hash)
			must(t, err)
			if size != 8 || len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
				t.Errorf("%d bytes, %+v, want %+v", size, got, want)
			}
		}
		first, _, _ := f.stockOne(t, f.Store, all, start)
		check()
		list(math.MaxInt64, 9)
		copies(first, Copy{State: CopyWaiting, Since: cut(start)})

		held := f.ask(t, one, 1, start)
		f.stockOne(t, f.Store, all, start)
		f.ask(t, two, 1, start)
		f.checkInvariant(t)
		must(t, f.write.Exec("UPDATE contents SET live = 1").Error) // as if an older process had handed out the copy
		check(CopyCount{0, 1, 8})
		must(t, f.write.Exec("UPDATE contents SET live = 2").Error)
		check(CopyCount{0, 1, 8})

		f.prove(t, one, held)
		f.stockOne(t, f.Store, all, start)
		second, _, _ := f.stockOne(t, f.Store, all, start)
		if got := f.ask(t, one, 9, start); len(got) != 1 || got[0].FileHash != second {
			t.Fatalf("%+v, want %v", got, second)
		}
		check(CopyCount{0, 1, 8}, CopyCount{1, 1, 8})
		better, worse := HeldFile{first, 8, 1, 2, true}, HeldFile{second, 8, 0, 1, false}
		list(math.MaxInt64, 9, worse, better)
		list(1, 9, worse)
		list(2, 1, worse)
		copies(first, Copy{Farmer: one.FarmerID, State: CopyProved}, Copy{Farmer: two.FarmerID, State: CopyUnproven},
			Copy{State: CopyWaiting, Since: cut(start)})

		expireAll(t.Context(), t, f, start.Add(interval))
		check(CopyCount{1, 1, 8})
		list(math.MaxInt64, 9, HeldFile{first, 8, 1, 1, true})
		copies(first, Copy{Farmer: one.FarmerID, State: CopyProved}, Copy{State: CopyWaiting, Since: cut(start)})
		copies(second)
		for _, hash := range []node.FileHash{plain, {}} {
			_, _, err := f.FileCopies(t.Context(), hash)
			wantErr(t, err, ErrNotFound)
		}
	})
}
