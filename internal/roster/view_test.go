package roster

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/driveshare/downstream-node/internal/store"
)

func TestRadixSort(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{0, 1, 2, 100, 5000} {
		for _, limit := range []uint64{1, 3, 1 << 12, 1 << 40, math.MaxUint64} {
			keys := make([]key, n)
			for i := range keys {
				keys[i] = key{random.Uint64N(limit), int32(i)}
			}
			want := slices.Clone(keys)
			slices.SortStableFunc(want, func(a, b key) int { return cmp.Compare(a.number, b.number) })
			if got := radixSort(keys); !slices.Equal(got, want) {
				t.Errorf("%d numbers below %d: not sorted, or not stable", n, limit)
			}
		}
	}
}

// Sorts by texts look beyond the part that the number holds.
func TestAddressesThatBeginAlike(t *testing.T) {
	t.Parallel()
	n := &store.FarmerNews{}
	for i, address := range []string{"address 2", "address", "address 1", "", "address 1", "b"} {
		f := someone(rand.New(rand.NewPCG(1, 1)), i)
		f.ID, f.Address = string(rune('0'+i)), address
		n.Changed = append(n.Changed, f)
	}
	v := newView(start, nil, n)
	for desc, want := range map[bool][]string{false: {"3", "1", "2", "4", "0", "5"}, true: {"5", "0", "2", "4", "1", "3"}} {
		var got []string
		page, _ := v.List(Query{Sort: ByAddress, Desc: desc})
		for f := range page {
			got = append(got, f.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("descending %t: %v, want %v", desc, got, want)
		}
	}
}

func TestPlacesAreMerged(t *testing.T) {
	t.Parallel()
	v := newView(start, nil, news(rand.New(rand.NewPCG(1, 1)), 0, 20_000))
	exact := v.exactPlaces()
	for _, limit := range []int{1, 10, 500, 2000, len(exact)} {
		places := v.gather(limit)
		var farmers, online int64
		for i, p := range places {
			farmers, online = farmers+p.Farmers, online+p.Online
			if math.Abs(p.Lat) > 90 || math.Abs(p.Lon) > 180 || p.City == "" {
				t.Fatalf("place %+v", p)
			}
			if i > 0 && p.Farmers > places[i-1].Farmers {
				t.Errorf("the larger place comes later: %+v", p)
			}
		}
		if len(places) > limit || len(places) < limit/10 || farmers != 20_000 || online != v.Summary().Online {
			t.Errorf("limit %d: %d places of %d farmers, %d online", limit, len(places), farmers, online)
		}
	}
}

// What an old view shows does not change with a new one.
func TestViewsAreApart(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 1))
	old := newView(start, nil, news(random, 0, 100))
	before := old.Summary()
	update := news(random, 50, 120)
	// One is gone, and one is back.
	update.Gone = []string{someone(random, 8).ID, update.Changed[0].ID}
	update.Overdue = map[int64]store.Overdue{7: {Contracts: 1, Size: 2}}
	next := newView(start, old, update)
	if got := old.sum(); got != before {
		t.Errorf("the old view is %+v, was %+v", got, before)
	}
	if n := next.Summary().Farmers; n != 119 {
		t.Errorf("%d farmers in the new view, want 119", n)
	}
	if !slices.IsSortedFunc(next.farmers, func(a, b entry) int { return cmp.Compare(a.ID, b.ID) }) {
		t.Error("not in the order of ids")
	}
}
