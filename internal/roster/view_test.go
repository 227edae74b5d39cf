package roster

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
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

// Addresses that begin with the same eight bytes are sorted by the rest.
func TestAddressesThatBeginAlike(t *testing.T) {
	t.Parallel()
	n := &store.FarmerNews{}
	for i, address := range []string{"address 2", "address", "address 1", "", "address 1", "b"} {
		f := someone(rand.New(rand.NewPCG(1, 1)), i)
		f.ID, f.Address = string(rune('0'+i)), address
		n.Changed = append(n.Changed, f)
	}
	v := NewView(start, rules, nil, n)
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
	v := NewView(start, rules, nil, news(rand.New(rand.NewPCG(1, 1)), 0, 20_000))
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

// NewView must not change the old view.
func TestNewViewKeepsOldView(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 1))
	old := NewView(start, rules, nil, news(random, 0, 100))
	before := old.Summary()
	update := news(random, 50, 120)
	// One farmer is deleted, and one is deleted and created again.
	update.Gone = []string{someone(random, 8).ID, update.Changed[0].ID}
	update.Overdue = map[int64]store.Overdue{7: {Contracts: 1, Size: 2}}
	next := NewView(start, rules, old, update)
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

// someView returns a view of n farmers. Their addresses use only four characters, so
// that a search matches many of them.
func someView(n int) *View {
	random := rand.New(rand.NewPCG(1, 2))
	now := time.Unix(1_800_000_000, 0)
	news := &store.FarmerNews{}
	for i := range n {
		id := sha256.Sum256([]byte(fmt.Sprint(i)))
		address := make([]byte, 26+random.IntN(9))
		for at := range address {
			address[at] = "1aBc"[random.IntN(4)]
		}
		f := node.Farmer{ID: hex.EncodeToString(id[:10]), Address: string(address), Size: random.Int64N(1 << 40)}
		if random.IntN(2) == 0 {
			f.Uptime.End = now.Add(time.Hour)
		}
		news.Changed = append(news.Changed, &store.FarmerRecord{Farmer: f})
	}
	return NewView(now, rules, nil, news)
}

// Farmers are found by their country, and sorted by their place and by the times of their proofs.
func TestCountriesAndTimes(t *testing.T) {
	t.Parallel()
	n := &store.FarmerNews{}
	for i, l := range []*node.Location{
		{Country: "United States", City: "Boston"}, nil, {Country: "United Kingdom", City: "York"}, {Country: "United Kingdom", City: "Leeds"}, {City: "Leeds"},
	} {
		f := someone(rand.New(rand.NewPCG(1, 1)), i)
		f.ID, f.Address, f.Location, f.Uptime.End = string(rune('0'+i)), "address", l, start.Add(time.Hour)
		f.ProvenSince, f.LastHeartbeat = start.Add(-time.Duration(i)*time.Hour), start.Add(time.Duration(i*3%5)*time.Hour)
		if i == 4 {
			f.ProvenSince, f.Uptime.End = time.Time{}, start
		}
		n.Changed = append(n.Changed, f)
	}
	v := NewView(start, rules, nil, n)
	for query, want := range map[Query]string{
		{Sort: ByPlace}:                            "14320",
		{Sort: ByPlace, Desc: true}:                "02341",
		{Sort: BySince}:                            "43210",
		{Sort: BySeen, Desc: true}:                 "31420",
		{Sort: ByPlace, Country: "United Kingdom"}: "32",
		{Country: Unknown}:                         "14",
		{Country: Unknown, Online: true}:           "1",
		{Country: "United Kingdom", Search: "2"}:   "2",
		{Country: "Nowhere"}:                       "",
	} {
		got := ""
		farmers, total := v.List(query)
		for f := range farmers {
			got += f.ID
		}
		if got != want || total != len(want) {
			t.Errorf("%+v: %q of %d, want %q", query, got, total, want)
		}
	}
	want := []node.Place{{Country: "United Kingdom", Farmers: 2, Online: 2}, {Country: Unknown, Farmers: 2, Online: 1}, {Country: "United States", Farmers: 1, Online: 1}}
	slices.SortFunc(want[:2], func(a, b node.Place) int { return cmp.Compare(a.Country, b.Country) })
	if got := v.Countries(); !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// A search returns the same farmers, in the same order, as a scan of all farmers.
func TestSearchFindsAll(t *testing.T) {
	t.Parallel()
	v := someView(500)
	words := []string{"a", "1", "1aBc", "abc", "cB", "7", "f0", "1\na", "\n", "ABC", "none", v.farmers[0].ID, v.farmers[499].ID[:3], v.farmers[250].Address}
	for _, word := range words {
		for _, online := range []bool{false, true} {
			var want []string
			every, _ := v.List(Query{Sort: BySize, Desc: true})
			for f := range every {
				if (strings.HasPrefix(f.ID, strings.ToLower(word)) || strings.Contains(f.Address, word)) && (!online || f.Uptime.Online(v.Time)) {
					want = append(want, f.ID)
				}
			}
			var got []string
			found, total := v.List(Query{Sort: BySize, Desc: true, Search: word, Online: online})
			for f := range found {
				got = append(got, f.ID)
			}
			if !slices.Equal(got, want) || total != len(want) {
				t.Errorf("%q, online %v: %d of %d found, want %d", word, online, len(got), total, len(want))
			}
		}
	}
	if none, total := someView(0).List(Query{Search: "a"}); total != 0 {
		t.Errorf("found %v in an empty view", none)
	}
}

func BenchmarkSearch(b *testing.B) {
	v := someView(100_000)
	for _, word := range []string{"1aBc1aBc1", "a", "nobody"} {
		b.Run(word, func(b *testing.B) {
			for b.Loop() {
				v.List(Query{Sort: BySize, Desc: true, Search: word, Limit: 50})
			}
		})
	}
}
