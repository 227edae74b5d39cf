package store

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// list is the farmers that the query yields.
func (f *fixture) list(t testing.TB, q FarmerQuery, now time.Time) []node.Farmer {
	t.Helper()
	var farmers []node.Farmer
	must(t, f.Farmers(t.Context(), q, now, func(farmer node.Farmer) error {
		farmers = append(farmers, farmer)
		return nil
	}))
	return farmers
}

// someFarmers are: one never online, two that were, three that are, with
// different numbers of contracts; some alike in each way.
func someFarmers(t *testing.T, f *fixture) (now time.Time) {
	now = start.Add(10 * interval)
	for i := range 6 {
		token := f.token(t, fmt.Sprintf("address %d", i/2))
		if i == 0 {
			continue
		}
		at := start.Add(time.Duration(i%3) * interval)
		out := f.contracts(t, token, at, slices.Repeat([]int64{int64(10 + i/2)}, 1+i%3)...)
		f.commit(t, answer(token, out[0], true, at))
		if i >= 3 {
			f.contracts(t, token, now.Add(-interval/2), 10)
		}
	}
	return now
}

func TestFarmersSorted(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		now := someFarmers(t, f)
		online := func(x node.Farmer) int {
			if x.Uptime.Online(now) {
				return 1
			}
			return 0
		}
		sorts := map[string]func(a, b node.Farmer) int{
			"id":         func(a, b node.Farmer) int { return cmp.Compare(a.ID, b.ID) },
			"address":    func(a, b node.Farmer) int { return cmp.Compare(a.Address, b.Address) },
			"uptime":     func(a, b node.Farmer) int { return cmp.Compare(a.Uptime.Percent(now), b.Uptime.Percent(now)) },
			"heartbeats": func(a, b node.Farmer) int { return cmp.Compare(a.Heartbeats, b.Heartbeats) },
			"contracts":  func(a, b node.Farmer) int { return cmp.Compare(a.Contracts, b.Contracts) },
			"size":       func(a, b node.Farmer) int { return cmp.Compare(a.Size, b.Size) },
			"online":     func(a, b node.Farmer) int { return cmp.Compare(online(a), online(b)) },
		}
		if len(sorts) != len(farmerSorts) {
			t.Errorf("%d sorts tested of %d", len(sorts), len(farmerSorts))
		}
		for name, compare := range sorts {
			for _, desc := range []bool{false, true} {
				got := f.list(t, FarmerQuery{Sort: name, Desc: desc}, now)
				if len(got) != 6 {
					t.Fatalf("by %s: %d farmers", name, len(got))
				}
				sorted := slices.IsSortedFunc(got, func(a, b node.Farmer) int {
					by := compare(a, b)
					if desc {
						by = -by
					}
					return cmp.Or(by, cmp.Compare(a.ID, b.ID))
				})
				if !sorted {
					t.Errorf("by %s, descending %t: not sorted: %+v", name, desc, got)
				}
			}
		}
	})
}

func TestFarmersPaged(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		now := someFarmers(t, f)
		all := f.list(t, FarmerQuery{Sort: "online"}, now)
		var paged []node.Farmer
		for page := range 4 {
			paged = append(paged, f.list(t, FarmerQuery{Sort: "online", Limit: 2, Page: page}, now)...)
		}
		same := slices.EqualFunc(paged, all, func(a, b node.Farmer) bool { return a.ID == b.ID })
		if !same || len(all) != 6 {
			t.Errorf("%d farmers page by page, %d at once, or in another order", len(paged), len(all))
		}
		for _, farmer := range all {
			if on := farmer.Uptime.Online(now); on != (farmer.Contracts > 0) || on != (farmer.Size > 0) {
				t.Errorf("online %t with %d contracts of %d bytes", on, farmer.Contracts, farmer.Size)
			}
		}
		if n := len(f.list(t, FarmerQuery{Online: true}, now)); n != 3 {
			t.Errorf("%d farmers online, want 3", n)
		}
		if n := len(f.list(t, FarmerQuery{Online: true}, now.Add(time.Hour))); n != 0 {
			t.Errorf("%d farmers online an hour later", n)
		}
		enough := errors.New("enough")
		wantErr(t, f.Farmers(t.Context(), FarmerQuery{}, now, func(node.Farmer) error { return enough }), enough)
		wantErr(t, f.Farmers(t.Context(), FarmerQuery{Sort: "1; DROP TABLE tokens"}, now, nil), ErrUnknownSort)
	})
}

func TestFarmerExact(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		token := f.token(t, "address")
		_, err := f.Farmer(t.Context(), "no such farmer", start)
		wantErr(t, err, ErrNotFound)
		f.contracts(t, token, start, 7)
		f.contracts(t, token, start.Add(interval/2), 8)
		farmer := f.farmer(t, token, start.Add(interval)) // the first has expired, and was not swept
		if farmer.Contracts != 1 || farmer.Size != 8 {
			t.Errorf("farmer %+v", farmer)
		}
	})
}

// The status list reads rows as it goes; writers must not wait for its reader.
func TestWriteWhileListing(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		token := f.token(t, "address")
		must(t, f.Farmers(t.Context(), FarmerQuery{}, start, func(node.Farmer) error {
			f.contracts(t, token, start, 1)
			return nil
		}))
	})
}
