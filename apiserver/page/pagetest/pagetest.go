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

// Rules are the rules that the records rate farmers by.
var Rules = node.ScoreRules{HalfLife: 30 * 24 * time.Hour, MinOnline: 0.9}

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
		node.Fault{ID: 2, Start: Now.Add(-7 * time.Hour), End: Now.Add(-7*time.Hour + 9*time.Minute), Evidence: "no process could judge proofs"},
		node.Fault{ID: 1, Start: Now.AddDate(0, 0, -5), End: Now.AddDate(0, 0, -5).Add(100 * time.Minute), Evidence: "no process could take proofs", Void: 31},
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
	rate(&f, random, uptime)
	if random.IntN(50) > 0 {
		home := homes[random.IntN(len(homes))]
		// Move the farmer to a town near the city.
		home.Lat += float64(random.IntN(9)-4) * 0.2
		home.Lon += float64(random.IntN(9)-4) * 0.3
		f.Location = &home
	}
	return f
}

// rate gives a farmer the evidence of a farmer that was online in this share of the intervals. One of
// 50 farmers has no evidence.
func rate(f *node.Farmer, random *rand.Rand, online float64) {
	if random.IntN(50) == 0 {
		f.Heartbeats = 0
		return
	}
	intervals := 1 + random.IntN(100_000)
	const interval = 5 * time.Minute
	f.LastHeartbeat = Now.Add(-time.Duration(random.IntN(300)) * time.Second)
	if !f.Uptime.Online(Now) {
		f.LastHeartbeat = f.LastDue
	}
	f.ProvenSince = f.LastHeartbeat.Add(-time.Duration(intervals) * interval)
	// These are the sums of a geometric series.
	q := math.Exp2(-float64(interval) / float64(Rules.HalfLife))
	sum := node.Track{
		Weight: (1 - math.Pow(q, float64(intervals))) / (1 - q),
		Square: (1 - math.Pow(q, 2*float64(intervals))) / (1 - q*q),
	}
	f.Evidence = node.Evidence{Slot: f.LastHeartbeat.Truncate(interval), Online: sum, Correct: sum}
	f.Evidence.Online.Good = online * sum.Weight
	f.Evidence.Correct.Good = (1 - 0.002*random.Float64()) * sum.Weight
	f.Suspension = Rules.Suspend(node.Suspension{}, f.Evidence, true, f.LastHeartbeat)
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
		r.view = roster.NewView(Now, Rules, nil, &news)
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

// ScoreRules implements page.Records.
func (r *Records) ScoreRules() node.ScoreRules { return Rules }

// FarmerEvents returns two events of each kind. A farmer without an accepted proof has none.
func (r *Records) FarmerEvents(ctx context.Context, id string) (events []node.Event, err error) {
	f, err := r.Farmer(ctx, id, Now)
	if err != nil || f.Heartbeats == 0 {
		return nil, err
	}
	kinds := []node.EventKind{
		node.EventCompleted, node.EventExpired, node.EventRestored, node.EventWrong, node.EventVoid, node.EventSuspended, node.EventLifted,
	}
	for i := range 2 * len(kinds) {
		e := node.Event{At: Now.Add(-time.Duration(i*i) * time.Hour), Kind: kinds[i%len(kinds)]}
		switch e.Kind {
		case node.EventSuspended:
			e.Detail = "the operator <waits> for an answer"
		case node.EventLifted:
		default:
			e.FileHash = node.FileHash{0xab, byte(i), 31: 1}
		}
		if e.Kind == node.EventVoid {
			e.FaultID = 1
		}
		events = append(events, e)
	}
	return events, nil
}

// CopyCounts returns the copies of 1,000 files, most of which three farmers hold.
func (r *Records) CopyCounts(context.Context) ([]store.CopyCount, error) {
	defer r.Hold()()
	if r.away {
		return nil, ErrAway
	}
	return []store.CopyCount{{Copies: 1, Files: 4}, {Copies: 2, Files: 31}, {Copies: 3, Files: 965}}, nil
}

// CopyHours returns how many of these files had too few copies.
func (r *Records) CopyHours(_ context.Context, from time.Time) (hours []store.CopyHour, err error) {
	defer r.Hold()()
	if r.away {
		return nil, ErrAway
	}
	random := rand.New(rand.NewPCG(2, 7))
	for at := from.Truncate(time.Hour).Add(time.Hour); !at.After(Now); at = at.Add(time.Hour) {
		hours = append(hours, store.CopyHour{Start: at, At: at.Add(55 * time.Minute), Files: 1000, BelowTarget: 20 + int64(random.IntN(30))})
	}
	if len(hours) > 0 {
		hours[len(hours)-1].At, hours[len(hours)-1].BelowTarget = Now, 35
	}
	return hours, nil
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
