// Package pagetest holds records in memory for tests of the page. Every run makes
// the same farmers.
package pagetest

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/driveshare/downstream-node/apiserver/page"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/roster"
	"github.com/driveshare/downstream-node/internal/store"
)

// Now is the time at which the records are read.
var Now = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

// Records are farmers in memory. They are safe for concurrent use.
type Records struct {
	mu      sync.Mutex
	farmers []node.Farmer
	view    *roster.View  // the view of the farmers; nil if it must be made
	away    bool          // if true, every read fails
	age     time.Duration // how long the node has run
	faults  []node.Fault  // the latest first
	planned []node.Fault  // maintenances, the first one first
}

var _ page.Records = (*Records)(nil)

// New makes records of n farmers.
func New(n int) *Records {
	random := rand.New(rand.NewPCG(3, 14))
	homes := cities()
	r := &Records{age: 2 * 365 * 24 * time.Hour}
	r.SetFaults(
		node.Fault{Start: Now.Add(-7 * time.Hour), End: Now.Add(-7*time.Hour + 9*time.Minute), Evidence: "no process could judge proofs"},
		node.Fault{Start: Now.AddDate(0, 0, -5), End: Now.AddDate(0, 0, -5).Add(100 * time.Minute), Evidence: "no process could take proofs", Void: 31},
	)
	for range n {
		r.farmers = append(r.farmers, makeFarmer(random, homes))
	}
	return r
}

//go:embed cities.csv
var cityTable []byte

// cities returns the cities of cities.csv. A city with the weight n occurs n times,
// so that a random choice follows the weights.
func cities() (homes []node.Location) {
	rows, err := csv.NewReader(bytes.NewReader(cityTable)).ReadAll()
	for _, row := range rows[1:] {
		lat, latErr := strconv.ParseFloat(row[2], 64)
		lon, lonErr := strconv.ParseFloat(row[3], 64)
		weight, weightErr := strconv.Atoi(row[4])
		err = errors.Join(err, latErr, lonErr, weightErr)
		city := node.Location{City: row[0], Country: row[1], Lat: lat, Lon: lon}
		homes = append(homes, slices.Repeat([]node.Location{city}, weight)...)
	}
	if err != nil {
		panic("cities.csv: " + err.Error())
	}
	return homes
}

func makeFarmer(random *rand.Rand, homes []node.Location) node.Farmer {
	var id [10]byte
	for i := range id {
		id[i] = byte(random.Uint32())
	}
	f := node.Farmer{ID: hex.EncodeToString(id[:]), Address: makeAddress(random)}
	uptime := 1 - math.Min(1, random.ExpFloat64()*0.018)
	f.Contracts = 1 + int64(random.ExpFloat64()*40)
	online := random.IntN(100) < 88
	f.LastDue = Now.Add(-time.Duration(random.IntN(3000)) * time.Hour)
	f.Heartbeats = f.Contracts * int64(1+random.IntN(9000))
	f.Size = f.Contracts * (1 << 20) * int64(1+random.IntN(32))
	const age = 365 * 24 * time.Hour
	f.Uptime.Since = Now.Add(-age)
	if up := time.Duration(uptime * float64(age)); online {
		f.LastDue = Now.Add(time.Duration(random.IntN(300)) * time.Second)
		f.Uptime.Start, f.Uptime.End = Now.Add(-up), Now.Add(time.Hour)
	} else {
		f.Contracts, f.Size = 0, 0
		f.Uptime.Start, f.Uptime.End = f.Uptime.Since, f.Uptime.Since.Add(up)
	}
	if random.IntN(50) > 0 {
		home := homes[random.IntN(len(homes))]
		// Move the farmer to a town near the city.
		home.Lat += float64(random.IntN(9)-4) * 0.2
		home.Lon += float64(random.IntN(9)-4) * 0.3
		f.Location = &home
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

// ErrAway is the error of every read after SetAway(true).
var ErrAway = errors.New("the database is away")

// SetAway sets whether every read fails.
func (r *Records) SetAway(away bool) {
	defer r.Hold()()
	r.away = away
}

// SetAge sets the length of the node's history.
func (r *Records) SetAge(age time.Duration) {
	defer r.Hold()()
	r.age = age
}

// SetFaults sets the faults of the node, the latest first.
func (r *Records) SetFaults(faults ...node.Fault) {
	defer r.Hold()()
	r.faults = faults
}

// Faults implements page.Records.
func (r *Records) Faults(_ context.Context, limit int) ([]node.Fault, error) {
	defer r.Hold()()
	if r.away {
		return nil, ErrAway
	}
	return slices.Clone(r.faults[:min(limit, len(r.faults))]), nil
}

// SetMaintenances sets the planned maintenances of the node, the first one first.
func (r *Records) SetMaintenances(planned ...node.Fault) {
	defer r.Hold()()
	r.planned = planned
}

// Maintenances implements page.Records.
func (r *Records) Maintenances(context.Context) ([]node.Fault, error) {
	defer r.Hold()()
	if r.away {
		return nil, ErrAway
	}
	return slices.Clone(r.planned), nil
}

// Hold blocks every read until the caller calls end.
func (r *Records) Hold() (end func()) {
	r.mu.Lock()
	return r.mu.Unlock
}

// Change calls change with all farmers in the order of their creation, and replaces
// them by the result.
func (r *Records) Change(change func(farmers []node.Farmer) []node.Farmer) {
	defer r.Hold()()
	r.farmers, r.view = change(slices.Clone(r.farmers)), nil
}

// View implements page.Records.
func (r *Records) View(context.Context) (*roster.View, error) {
	defer r.Hold()()
	if r.away {
		return nil, ErrAway
	}
	if r.view == nil {
		news := store.FarmerNews{Whole: true}
		for _, f := range r.farmers {
			news.Changed = append(news.Changed, &store.FarmerRecord{Farmer: f})
		}
		r.view = roster.NewView(Now, nil, &news)
	}
	return r.view, nil
}

// List returns the farmers that a query selects. It panics after SetAway(true).
func (r *Records) List(q roster.Query) []node.Farmer {
	view, err := r.View(context.Background())
	if err != nil {
		panic(err)
	}
	farmers, _ := view.List(q)
	return slices.Collect(farmers)
}

// Farmer implements page.Records.
func (r *Records) Farmer(_ context.Context, id string, _ time.Time) (node.Farmer, error) {
	defer r.Hold()()
	if r.away {
		return node.Farmer{}, ErrAway
	}
	at := slices.IndexFunc(r.farmers, func(f node.Farmer) bool { return f.ID == id })
	if at < 0 {
		return node.Farmer{}, store.ErrNotFound
	}
	return r.farmers[at], nil
}

// History returns the history of a node that grew for a year. Its counts also rise and
// fall once a day.
func (r *Records) History(ctx context.Context, from, to time.Time, step time.Duration) ([]node.Span, error) {
	view, err := r.View(ctx)
	if err != nil {
		return nil, err
	}
	now := view.Summary()
	defer r.Hold()()
	random := rand.New(rand.NewPCG(1, uint64(step)))
	var spans []node.Span
	if born := Now.Add(-r.age); from.Before(born) {
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

// FarmerDays returns 70 days of a farmer. On some of them, the farmer was offline for
// all or a part of the day.
func (r *Records) FarmerDays(ctx context.Context, id string, _, now time.Time) (days []node.Day, err error) {
	f, err := r.Farmer(ctx, id, now)
	if err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(uint64(f.Heartbeats), 1))
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
	return days, nil
}
