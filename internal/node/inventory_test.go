package node

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestInventorySizes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		min, max, base int64
		want           []int64 // nil if Sizes must fail
	}{
		{1, 8, 2, []int64{1, 2, 4, 8}},
		{3, 9, 2, []int64{4, 8}},
		{4, 4, 2, []int64{4}},
		{1024, 4096, 2, []int64{1024, 2048, 4096}},
		{1, 1000, 10, []int64{1, 10, 100, 1000}},
		{1 << 61, 1<<63 - 1, 2, []int64{1 << 61, 1 << 62}},
		{5, 7, 2, nil},
		{0, 7, 2, nil},
		{8, 4, 2, nil},
		{1, 8, 1, nil},
		{1, 8, 0, nil},
		{-4, 8, 2, nil},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%d to %d by %d", tt.min, tt.max, tt.base), func(t *testing.T) {
			t.Parallel()
			got, err := Inventory{MinSize: tt.min, MaxSize: tt.max, Base: tt.base}.Sizes()
			if !slices.Equal(got, tt.want) || (err != nil) != (tt.want == nil) {
				t.Errorf("%v, %v; want %v", got, err, tt.want)
			}
		})
	}
}

func TestInventoryMissing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		total int64 // bytes of the inventory with sizes 1, 2 and 4
		have  map[int64]int64
		want  int64 // 0 if the inventory is full
	}{
		{"empty, so the smallest", 14, nil, 1},
		{"the size with the fewest chunks", 14, map[int64]int64{1: 2, 2: 1, 4: 1}, 2},
		{"equal numbers", 14, map[int64]int64{1: 1, 2: 1, 4: 1}, 1},
		{"full", 14, map[int64]int64{1: 2, 2: 2, 4: 2}, 0},
		{"space left, but not for one of each size", 20, map[int64]int64{1: 2, 2: 2, 4: 2}, 0},
		{"too many chunks of one size leave no space", 14, map[int64]int64{1: 13}, 0},
		{"chunks of other sizes take space too", 14, map[int64]int64{3: 4}, 1},
		{"total below one of each size", 5, map[int64]int64{1: 1, 2: 1}, 0},
		{"nothing fits", 0, nil, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := Inventory{MinSize: 1, MaxSize: 4, Base: 2, TotalSize: tt.total}
			got, ok, err := v.Missing(tt.have, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.want || ok != (tt.want != 0) {
				t.Errorf("%d, %t; want %d", got, ok, tt.want)
			}
		})
	}
	v := Inventory{MinSize: 1, MaxSize: 4, TotalSize: 70, Base: 2}
	if size, ok, err := v.Missing(map[int64]int64{2: 1}, func(size int64) bool { return size == 2 }); size != 2 || !ok || err != nil {
		t.Errorf("%d, %t, %v, want the only size that may be made", size, ok, err)
	}
	if _, _, err := (Inventory{}).Missing(nil, nil); err == nil {
		t.Error("an empty inventory is no error")
	}
}

// Farmers take random chunks during the filling. In the end, the inventory must
// have the same number of chunks of every size, within its total.
func TestInventoryFillsEquallyWithinItsTotal(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(9, 10))
	for range 300 {
		v := Inventory{MinSize: 1 + rng.Int64N(64), MaxSize: 64 + rng.Int64N(4096), Base: 2 + rng.Int64N(3)}
		sizes, err := v.Sizes()
		if err != nil {
			continue // no power lies between MinSize and MaxSize
		}
		v.TotalSize = rng.Int64N(20 * v.MaxSize)
		have := map[int64]int64{}
		for range 100 {
			if size := sizes[rng.IntN(len(sizes))]; have[size] > 0 && rng.IntN(3) == 0 {
				have[size]--
			}
			fill(t, v, have, 1+rng.IntN(5))
		}
		fill(t, v, have, 1<<20)
		checkEqual(t, v, sizes, have)
	}
}

// fill adds up to n chunks.
func fill(t *testing.T, v Inventory, have map[int64]int64, n int) {
	t.Helper()
	for range n {
		size, ok, err := v.Missing(have, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return
		}
		have[size]++
		var bytes int64
		for s, n := range have {
			bytes += s * n
		}
		if bytes > v.TotalSize {
			t.Fatalf("%+v: %d bytes with %v", v, bytes, have)
		}
	}
}

// checkEqual fails the test unless there are equally many chunks of every size.
func checkEqual(t *testing.T, v Inventory, sizes []int64, have map[int64]int64) {
	t.Helper()
	var round int64
	for _, s := range sizes {
		round += s
	}
	if v.TotalSize < round {
		return // one chunk of each size does not fit
	}
	for _, s := range sizes {
		if have[s] != v.TotalSize/round {
			t.Fatalf("%+v: filled with %v, want %d of each", v, have, v.TotalSize/round)
		}
	}
}
