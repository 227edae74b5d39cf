package roster

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 678_901_000, time.UTC)

var rules = node.ScoreRules{HalfLife: 30 * 24 * time.Hour}

// evidence returns random evidence of up to 40 intervals of 5 minutes, the last one before start.
func evidence(random *rand.Rand) (e node.Evidence) {
	const interval = 5 * time.Minute
	for at := start.Add(-time.Duration(random.IntN(40)) * interval); !at.After(start); at = at.Add(interval) {
		e.AddHeartbeat(at, interval, rules.HalfLife)
		if random.IntN(30) == 0 {
			e.AddMissed(at, interval, rules.HalfLife)
		}
	}
	return e
}

// someone returns the n-th farmer, with random records.
func someone(random *rand.Rand, n int) *store.FarmerRecord {
	since := start.Add(-time.Duration(random.Int64N(int64(90 * 24 * time.Hour))))
	return &store.FarmerRecord{
		TokenID: int64(n),
		Farmer: node.Farmer{
			ID:      fmt.Sprintf("%020x", uint64(n)*0x9e3779b97f4a7c15),
			Address: fmt.Sprintf("1%x", random.Uint64()),
			Location: &node.Location{
				City: fmt.Sprint("City ", n%5000), Lat: float64(n%5000)/50 - 50, Lon: float64(n*7%5000)/14 - 178,
			},
			Uptime: node.Uptime{Since: since, Start: since, End: start.Add(time.Duration(random.Int64N(int64(time.Hour)) - int64(10*time.Minute)))},
			Size:   random.Int64N(1 << 40), Contracts: random.Int64N(1000), Heartbeats: random.Int64N(1 << 30),
			Evidence: evidence(random),
		},
	}
}

func news(random *rand.Rand, from, to int) *store.FarmerNews {
	n := &store.FarmerNews{Overdue: map[int64]store.Overdue{}}
	for i := from; i < to; i++ {
		n.Changed = append(n.Changed, someone(random, i))
	}
	return n
}

// BenchmarkView uses 100,000 farmers.
func BenchmarkView(b *testing.B) {
	const farmers, changed = 100_000, 3000
	random := rand.New(rand.NewPCG(1, 2))
	v := NewView(start, rules, nil, news(random, 0, farmers))
	top := Query{Sort: ByUptime, Desc: true, Limit: 25}
	b.Run("refresh", func(b *testing.B) {
		update := news(random, farmers/2, farmers/2+changed)
		for b.Loop() {
			NewView(start, rules, v, update)
		}
	})
	for _, sort := range []Sort{ByUptime, ByScore, BySize, ByAddress} {
		b.Run("order by "+sort.String(), func(b *testing.B) {
			for b.Loop() {
				v.order(sort, true)
			}
		})
	}
	b.Run("page", func(b *testing.B) {
		for b.Loop() {
			if page, _ := v.List(top); len(slices.Collect(page)) != top.Limit {
				b.Fatal("not a whole page")
			}
		}
	})
	b.Run("search", func(b *testing.B) {
		top.Search = "abc"
		for b.Loop() {
			v.List(top)
		}
	})
	b.Run("sum", func(b *testing.B) {
		for b.Loop() {
			v.sum()
		}
	})
	b.Run("places", func(b *testing.B) {
		for b.Loop() {
			v.gather(maxPlaces)
		}
	})
}
