package pagetest

import (
	"context"
	"encoding/hex"
	"math"
	"math/rand/v2"
	"time"

	"github.com/driveshare/downstream-node/apiserver/page"
	"github.com/driveshare/downstream-node/internal/node"
)

// cities are where farmers live, each with its weight.
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

// Now is the moment that records are as of.
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
		// A farmer lives in one of the towns around.
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

// History is a node that grew for a year, busier by day than by night.
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

// Days is a farmer who missed a day now and then.
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
