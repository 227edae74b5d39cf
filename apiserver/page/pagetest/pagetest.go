// Package pagetest holds records in memory for tests of the page. Every run gets
// the same farmers.
package pagetest

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/driveshare/downstream-node/apiserver/page"
	"github.com/driveshare/downstream-node/internal/node"
)

// cities are the places of farmers, with weights.
var cities = []struct {
	city, country string
	lat, lon      float64
	weight        int
}{
	{"Berlin", "Germany", 52.52, 13.40, 60},
	{"Frankfurt", "Germany", 50.11, 8.68, 55},
	{"Munich", "Germany", 48.14, 11.58, 25},
	{"Amsterdam", "Netherlands", 52.37, 4.90, 45},
	{"London", "United Kingdom", 51.51, -0.13, 42},
	{"Paris", "France", 48.86, 2.35, 40},
	{"Helsinki", "Finland", 60.17, 24.94, 22},
	{"Stockholm", "Sweden", 59.33, 18.06, 20},
	{"Warsaw", "Poland", 52.23, 21.01, 18},
	{"Madrid", "Spain", 40.42, -3.70, 16},
	{"Rome", "Italy", 41.90, 12.50, 14},
	{"Athens", "Greece", 37.98, 23.73, 6},
	{"New York", "United States", 40.71, -74.01, 62},
	{"Ashburn", "United States", 39.04, -77.49, 48},
	{"Chicago", "United States", 41.88, -87.63, 30},
	{"Dallas", "United States", 32.78, -96.80, 24},
	{"Seattle", "United States", 47.61, -122.33, 26},
	{"San Francisco", "United States", 37.77, -122.42, 38},
	{"Atlanta", "United States", 33.75, -84.39, 21},
	{"Toronto", "Canada", 43.65, -79.38, 24},
	{"Montreal", "Canada", 45.50, -73.57, 20},
	{"Mexico City", "Mexico", 19.43, -99.13, 9},
	{"Bogotá", "Colombia", 4.71, -74.07, 6},
	{"São Paulo", "Brazil", -23.55, -46.63, 22},
	{"Buenos Aires", "Argentina", -34.60, -58.38, 10},
	{"Santiago", "Chile", -33.45, -70.67, 7},
	{"Johannesburg", "South Africa", -26.20, 28.05, 8},
	{"Lagos", "Nigeria", 6.52, 3.38, 5},
	{"Nairobi", "Kenya", -1.29, 36.82, 4},
	{"Cairo", "Egypt", 30.04, 31.24, 5},
	{"Tel Aviv", "Israel", 32.09, 34.78, 7},
	{"Dubai", "United Arab Emirates", 25.20, 55.27, 8},
	{"Mumbai", "India", 19.08, 72.88, 18},
	{"Bengaluru", "India", 12.97, 77.59, 16},
	{"Singapore", "Singapore", 1.35, 103.82, 34},
	{"Jakarta", "Indonesia", -6.21, 106.85, 7},
	{"Hong Kong", "Hong Kong", 22.32, 114.17, 20},
	{"Taipei", "Taiwan", 25.03, 121.57, 11},
	{"Seoul", "South Korea", 37.57, 126.98, 19},
	{"Tokyo", "Japan", 35.68, 139.69, 36},
	{"Osaka", "Japan", 34.69, 135.50, 14},
	{"Sydney", "Australia", -33.87, 151.21, 17},
	{"Melbourne", "Australia", -37.81, 144.96, 10},
	{"Auckland", "New Zealand", -36.85, 174.76, 6},
	{"Reykjavík", "Iceland", 64.15, -21.94, 5},
}

// Now is the time of the records.
var Now = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

// New makes records of n farmers.
func New(n int) *Records {
	random := rand.New(rand.NewPCG(3, 14))
	var homes []int
	for i, c := range cities {
		for range c.weight {
			homes = append(homes, i)
		}
	}
	r := &Records{now: Now, orders: map[order][]page.Farmer{}, age: 2 * 365 * 24 * time.Hour}
	for range n {
		r.farmers = append(r.farmers, makeFarmer(random, homes))
	}
	return r
}

func makeFarmer(random *rand.Rand, homes []int) page.Farmer {
	var id [10]byte
	for i := range id {
		id[i] = byte(random.Uint32())
	}
	f := page.Farmer{
		ID: hex.EncodeToString(id[:]), Address: makeAddress(random),
		Uptime:    100 - math.Min(100, random.ExpFloat64()*1.8),
		Contracts: 1 + int64(random.ExpFloat64()*40),
		Online:    random.IntN(100) < 88,
		LastDue:   Now.Add(-time.Duration(random.IntN(3000)) * time.Hour),
	}
	f.Heartbeats = f.Contracts * int64(1+random.IntN(9000))
	f.Size = f.Contracts * (1 << 20) * int64(1+random.IntN(32))
	if f.Online {
		f.LastDue = Now.Add(time.Duration(random.IntN(300)) * time.Second)
	} else {
		f.Contracts, f.Size = 0, 0
	}
	if random.IntN(50) > 0 {
		c := cities[homes[random.IntN(len(homes))]]
		// Move the farmer to a town near the city.
		f.Location = &node.Location{
			Country: c.country, City: c.city,
			Lat: c.lat + float64(random.IntN(9)-4)*0.2, Lon: c.lon + float64(random.IntN(9)-4)*0.3,
		}
	}
	return f
}

func makeAddress(random *rand.Rand) string {
	const base58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	address := []byte("1")
	for range 33 {
		address = append(address, base58[random.IntN(len(base58))])
	}
	return string(address)
}

// History returns the history of a node that grew for a year, with more events by
// day than by night.
func (r *Records) History(_ context.Context, from, to time.Time, step time.Duration) ([]node.Span, error) {
	end, err := r.begin()
	defer end()
	if err != nil {
		return nil, err
	}
	now := r.sum()
	random := rand.New(rand.NewPCG(1, uint64(step)))
	var spans []node.Span
	if born := r.now.Add(-r.age); from.Before(born) {
		from = born
	}
	for at := from.Truncate(step); !at.After(to); at = at.Add(step) {
		hours := Now.Sub(at).Hours()
		grown := (1 - 0.8*hours/(365*24)) * (1 + 0.03*math.Sin(2*math.Pi*hours/24) + 0.012*math.Sin(hours/3.7))
		of := func(n int64, by float64) int64 { return int64(float64(n) * by) }
		within := float64(now.Contracts) * grown * step.Hours() * 12
		spans = append(spans, node.Span{
			Start: at,
			Totals: node.Totals{
				Farmers: of(now.Farmers, grown), Online: of(now.Online, grown), Contracts: of(now.Contracts, grown), Size: of(now.Size, grown),
				Heartbeats: int64(within * (0.985 + 0.01*random.Float64())), Wrong: int64(within / 4000 * random.ExpFloat64()), Expired: int64(within / 600 * (0.5 + random.Float64())),
			},
		})
	}
	return spans, nil
}

// Days returns the history of a farmer who missed some days.
func (r *Records) Days(ctx context.Context, id string, count int) ([]node.Day, error) {
	f, err := r.Show(ctx, id)
	if err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(uint64(f.Heartbeats), 1))
	var days []node.Day
	for i := range 70 {
		const length = 24 * time.Hour
		d := node.Day{Start: Now.AddDate(0, 0, i-69).Truncate(length), Possible: length, Contracts: f.Contracts + int64(i)/9, Size: f.Size + int64(i)<<24}
		uptime := 1.0
		switch random.IntN(20) {
		case 0:
			uptime = 0
		case 1:
			uptime = 0.60 + 0.30*random.Float64()
		case 2, 3:
			uptime = 0.90 + 0.09*random.Float64()
		}
		d.Online = time.Duration(uptime * float64(length))
		d.Heartbeats = int64(288 * float64(f.Contracts) * uptime)
		d.Wrong = int64(random.IntN(3))
		days = append(days, d)
	}
	return days[max(0, len(days)-count):], nil
}

// Records are farmers in memory. They are safe for concurrent use.
type Records struct {
	mu      sync.Mutex
	now     time.Time
	farmers []page.Farmer
	orders  map[order][]page.Farmer // made at first use
	away    bool
	age     time.Duration // how long the node has run
}

type order struct {
	sort string
	desc bool
}

var _ page.Records = (*Records)(nil)

// ErrAway is the error of every read after SetAway(true).
var ErrAway = errors.New("the database is away")

// SetAway makes every read fail, or succeed again.
func (r *Records) SetAway(away bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = away
}

// SetAge sets the length of the node's history.
func (r *Records) SetAge(age time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.age = age
}

// Hold blocks every read until the caller calls end.
func (r *Records) Hold() (end func()) {
	r.mu.Lock()
	return r.mu.Unlock
}

// Change calls the function with all farmers, in the order of their creation.
func (r *Records) Change(change func(farmers []page.Farmer) []page.Farmer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.farmers = change(slices.Clone(r.farmers))
	r.orders = map[order][]page.Farmer{}
}

// begin locks the records for a read.
func (r *Records) begin() (end func(), err error) {
	r.mu.Lock()
	if r.away {
		err = ErrAway
	}
	return r.mu.Unlock, err
}

// List implements page.Records.
func (r *Records) List(_ context.Context, q page.Query) ([]page.Farmer, int, error) {
	end, err := r.begin()
	defer end()
	if err != nil {
		return nil, 0, err
	}
	all := r.ordered(order{q.Sort, q.Desc})
	if q.Online || q.Search != "" {
		all = slices.DeleteFunc(slices.Clone(all), func(f page.Farmer) bool {
			return q.Online && !f.Online || !strings.HasPrefix(f.ID, strings.ToLower(q.Search)) && !strings.Contains(f.Address, q.Search)
		})
	}
	from := min(len(all), q.Page*q.Limit)
	return all[from:min(len(all), from+q.Limit)], len(all), nil
}

func (r *Records) ordered(o order) []page.Farmer {
	if kept, ok := r.orders[o]; ok {
		return kept
	}
	all := slices.Clone(r.farmers)
	slices.SortFunc(all, func(a, b page.Farmer) int {
		c := compare[o.sort](a, b)
		if o.desc {
			c = -c
		}
		return cmp.Or(c, cmp.Compare(a.ID, b.ID))
	})
	r.orders[o] = all
	return all
}

var compare = map[string]func(a, b page.Farmer) int{
	"id":         func(a, b page.Farmer) int { return cmp.Compare(a.ID, b.ID) },
	"address":    func(a, b page.Farmer) int { return cmp.Compare(a.Address, b.Address) },
	"uptime":     func(a, b page.Farmer) int { return cmp.Compare(a.Uptime, b.Uptime) },
	"heartbeats": func(a, b page.Farmer) int { return cmp.Compare(a.Heartbeats, b.Heartbeats) },
	"contracts":  func(a, b page.Farmer) int { return cmp.Compare(a.Contracts, b.Contracts) },
	"size":       func(a, b page.Farmer) int { return cmp.Compare(a.Size, b.Size) },
	"online": func(a, b page.Farmer) int {
		return cmp.Compare(map[bool]int{true: 1}[a.Online], map[bool]int{true: 1}[b.Online])
	},
}

// Show implements page.Records.
func (r *Records) Show(_ context.Context, id string) (page.Farmer, error) {
	end, err := r.begin()
	defer end()
	if err != nil {
		return page.Farmer{}, err
	}
	at := slices.IndexFunc(r.farmers, func(f page.Farmer) bool { return f.ID == id })
	if at < 0 {
		return page.Farmer{}, page.ErrNotFound
	}
	return r.farmers[at], nil
}

// Summary implements page.Records.
func (r *Records) Summary(context.Context) (node.Totals, error) {
	end, err := r.begin()
	defer end()
	if err != nil {
		return node.Totals{}, err
	}
	return r.sum(), nil
}

func (r *Records) sum() node.Totals {
	t := node.Totals{Farmers: int64(len(r.farmers))}
	for _, f := range r.farmers {
		if f.Online {
			t.Online++
		}
		t.Contracts += f.Contracts
		t.Size += f.Size
		t.Heartbeats += f.Heartbeats
	}
	return t
}

// Places implements page.Records.
func (r *Records) Places(context.Context) ([]node.Place, error) {
	end, err := r.begin()
	defer end()
	if err != nil {
		return nil, err
	}
	at := map[[2]float64]int{}
	var places []node.Place
	for _, f := range r.farmers {
		l := f.Location
		if l == nil {
			continue
		}
		i, ok := at[[2]float64{l.Lat, l.Lon}]
		if !ok {
			i = len(places)
			at[[2]float64{l.Lat, l.Lon}] = i
			places = append(places, node.Place{Lat: l.Lat, Lon: l.Lon, Country: l.Country, City: l.City})
		}
		places[i].Farmers++
		if f.Online {
			places[i].Online++
		}
	}
	return places, nil
}
