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
	if random.IntN(50) > 0 {
		home := homes[random.IntN(len(homes))]
		// Move the farmer to a town near the city.
		home.Lat += float64(random.IntN(9)-4) * 0.2
		home.Lon += float64(random.IntN(9)-4) * 0.3
		f.Location = &home
	}
	f.Contracts = 1 + int64(random.ExpFloat64()*40)
	f.Size = f.Contracts * (1 << 20) * int64(1+random.IntN(32))
	f.LastDue = Now.Add(time.Duration(1+random.IntN(299)) * time.Second)
	if random.IntN(50) == 0 { // a farmer that has proved nothing yet
		f.Uptime = node.Uptime{Since: Now.Add(-interval / 2), Start: Now.Add(-interval / 2), End: f.LastDue}
		return f
	}
	f.LastHeartbeat = f.LastDue.Add(-interval)
	if random.IntN(100) >= 88 { // a farmer that is offline
		f.LastDue = Now.Add(-time.Duration(1+random.IntN(3000)) * time.Hour)
		f.LastHeartbeat = f.LastDue.Add(-interval)
	}
	prove(&f, random, 1-math.Min(0.9, random.ExpFloat64()*0.018))
	if !f.Uptime.Online(Now) {
		f.Contracts, f.Size = 0, 0
	}
	return f
}

// interval is the time for each challenge.
const interval = 5 * time.Minute

// prove gives a farmer the records of a farmer that has farmed for at least oldestDay days, and that was online in this share of the
// intervals.
func prove(f *node.Farmer, random *rand.Rand, online float64) {
	intervals := oldestDay*288 + random.IntN(80_000)
	f.ProvenSince = f.LastHeartbeat.Add(-time.Duration(intervals) * interval)
	f.Heartbeats = int64(float64(f.Contracts) * float64(intervals) * online)
	age := f.LastDue.Sub(f.ProvenSince)
	f.Uptime = node.Uptime{Since: f.ProvenSince, Start: f.LastDue.Add(-time.Duration(online * float64(age))), End: f.LastDue}
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
		node.EventCompleted, node.EventExpired, node.EventRestored, node.EventWrong, node.EventVoid, node.EventLifted, node.EventSuspended,
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
		// some returns a whole number of events whose mean is about mean.
		some := func(mean float64) int64 { return int64(mean*2*random.Float64() + random.Float64()) }
		of := func(n int64, by float64) int64 { return int64(float64(n) * by) }
		within := float64(now.Contracts) * grown * min(step.Hours(), Now.Sub(at).Hours()) * 12 // the last span is not over
		spans = append(spans, node.Span{
			Start: at,
			Totals: node.Totals{
				Farmers: of(now.Farmers, grown), Online: of(now.Online, grown), Contracts: of(now.Contracts, grown), Size: of(now.Size, grown),
				Heartbeats: int64(within * (0.985 + 0.01*random.Float64())), Wrong: some(within / 4000), Expired: some(within / 200_000),
			},
		})
	}
	return spans, nil
}

// oldestDay is the number of days that FarmerDays returns of a farmer with a heartbeat.
const oldestDay = 70

// FarmerDays returns the last days of a farmer. On some of them, the farmer was offline for
// all or a part of the day, so that its uptime is about that of its record.
func (r *Records) FarmerDays(ctx context.Context, id string, _, now time.Time) (days []node.Day, err error) {
	f, err := r.Farmer(ctx, id, now)
	if err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(uint64(f.Heartbeats), 1))
	number := oldestDay
	if f.Heartbeats == 0 {
		number = 1
	}
	share := f.Uptime.Percent(earlier(f.LastDue, Now)) / 100
	for i := range number {
		const length = 24 * time.Hour
		ago := number - 1 - i
		d := node.Day{Start: Now.AddDate(0, 0, -ago).Truncate(length), Possible: length}
		if ago == 0 {
			d.Possible = Now.Sub(d.Start)
		}
		uptime := 1.0
		const meanLoss = 0.25 // of a day with a loss
		if lossy := random.Float64() < (1-share)/meanLoss; lossy && (ago > 0 || !f.Uptime.Online(Now)) {
			uptime -= []float64{1, 0.35, 0.25, 0.06, 0.05, 0.04, 0.03}[random.IntN(7)]
		}
		if d.Start.After(f.LastDue) {
			uptime = 0
		} else {
			d.Contracts = max(0, f.Contracts-int64(ago)/9)
			d.Size = d.Contracts * f.Size / max(1, f.Contracts)
		}
		d.Online = time.Duration(uptime * float64(d.Possible))
		d.Heartbeats = int64(float64(d.Online/interval) * float64(d.Contracts))
		d.Wrong = min(d.Heartbeats, int64(random.IntN(3)))
		days = append(days, d)
	}
	return days, nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// NextDue implements page.Records. All proofs of a farmer are due at the same time.
func (r *Records) NextDue(ctx context.Context, id string, now time.Time) (time.Time, error) {
	f, err := r.Farmer(ctx, id, now)
	if err != nil || f.Contracts == 0 {
		return time.Time{}, err
	}
	return f.LastDue, nil
}

// WaitingSize implements page.Records.
func (r *Records) WaitingSize(context.Context) (chunks, bytes int64, err error) {
	defer r.Hold()()
	if r.away {
		return 0, 0, ErrAway
	}
	return 1234, 5 << 30, nil
}
