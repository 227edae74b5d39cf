package scale

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/btcsuite/btcd/btcutil/base58"

	"github.com/driveshare/downstream-node/internal/node"
)

// contract is a contract to record.
type contract struct {
	farmer   int
	size     int64
	sequence int64
	due      time.Time
	answered bool
	live     bool // the sweeper has not swept the contract
}

// contract returns the i-th contract. Of every hundred contracts, two are expired
// and swept. Of every ten thousand, two are expired and not swept. The others are
// live. They are unanswered, answered, or answered and due for the next challenge.
func (t Terms) contract(size Size, i int) contract {
	r := rand.New(rand.NewPCG(t.Seed, uint64(i)))
	c := contract{size: 1 << (10 + r.IntN(12)), sequence: r.Int64N(1000), live: true}
	if others := size.Farmers - size.Farmers/20 - 1; i >= size.Largest && others > 0 {
		u := r.Float64()
		c.farmer = 1 + int(float64(others)*u*u) // a few farmers have many contracts
	}
	part := time.Duration(r.Int64N(t.Interval.Microseconds())) * time.Microsecond
	c.due = t.Now.Add(part)
	switch kind := r.IntN(10_000); {
	case kind < 200:
		c.live, c.due = false, t.Now.Add(-time.Hour-time.Duration(kind)*time.Hour)
	case kind < 202:
		c.due = t.Now.Add(-min(part, time.Minute))
	case kind < 4000:
	case kind < 8000:
		c.answered = true
	default:
		c.answered, c.due = true, c.due.Add(-t.Interval)
	}
	return c
}

func (c contract) expiry(t Terms) time.Time {
	if c.answered {
		return c.due.Add(t.Interval)
	}
	return c.due
}

func (c contract) row(i int, t Terms) []any {
	var accepted node.Digest
	if c.answered {
		accepted = node.Digest(hashed("proof", i)[:16])
	}
	return []any{
		c.farmer + 1, i + 1, hashed("file", i), t.KeyID, c.size, t.Interval.Microseconds(), c.sequence + 1, c.sequence,
		t.Challenge, t.State, c.due.UnixMicro(), c.answered, accepted[:],
		[]byte{},
		c.expiry(t).UnixMicro(), c.live,
	}
}

// farmer is a farmer to record, with the sums of its contracts.
type farmer struct {
	address                   string
	place                     *node.Location
	ip                        string
	created                   time.Time
	heartbeats, wrong         int64
	contracts, size, expired  int64
	first, end, lastDue       time.Time
	onlineBefore, stretchPart float64
}

// newFarmers makes farmers without contracts.
func newFarmers(size Size, t Terms) []farmer {
	places := newPlaces(size, t)
	farmers := make([]farmer, size.Farmers)
	for i := range farmers {
		r := rand.New(rand.NewPCG(t.Seed+1, uint64(i)))
		f := &farmers[i]
		f.address = base58.CheckEncode(hashed("address", i)[:20], 0)
		f.created = t.Now.Add(-time.Duration(1+r.IntN(90*24*60)) * time.Minute)
		f.ip = fmt.Sprintf("10.%d.%d.%d", i>>16&0xff, i>>8&0xff, i&0xff)
		f.heartbeats, f.wrong = r.Int64N(1_000_000), r.Int64N(100)
		f.onlineBefore, f.stretchPart = r.Float64(), r.Float64()
		if r.IntN(10) > 0 {
			f.place = &places[r.IntN(len(places))]
		}
	}
	return farmers
}

// newPlaces makes one place for every twenty farmers.
func newPlaces(size Size, t Terms) []node.Location {
	places := make([]node.Location, size.Farmers/20+1)
	for i := range places {
		r := rand.New(rand.NewPCG(t.Seed+2, uint64(i)))
		places[i] = node.Location{
			Country: fmt.Sprint("Country ", i%100), State: fmt.Sprint("State ", i%1000), City: fmt.Sprint("City ", i),
			Zip: fmt.Sprint(10_000 + i), Lat: float64(r.IntN(130_0000)-60_0000) / 10_000, Lon: float64(r.IntN(360_0000)-180_0000) / 10_000,
		}
	}
	return places
}

// add counts a contract.
func (f *farmer) add(c contract, t Terms) {
	if c.live {
		f.contracts++
		f.size += c.size
	} else {
		f.expired++
	}
	f.first = f.created
	if expiry := c.expiry(t); expiry.After(f.end) {
		f.end = expiry
	}
	if c.due.After(f.lastDue) {
		f.lastDue = c.due
	}
}

func (f *farmer) row(i int, t Terms) []any {
	hash := Token(i).Hash()
	var country, state, city, zip, lat, lon any
	if p := f.place; p != nil {
		country, state, city, zip, lat, lon = p.Country, p.State, p.City, p.Zip, p.Lat, p.Lon
	}
	up := f.uptime(t)
	return []any{
		i + 1, hash[:], hash.FarmerID(), i + 1, t.KeyID, f.ip, country, state, city, zip, lat, lon, f.heartbeats, f.wrong,
		f.expired, f.contracts, f.size, micros(up.Since), micros(up.Start), micros(up.End), up.Before.Microseconds(),
		micros(f.lastDue), f.created.UnixMicro(), 0,
	}
}

// uptime returns two periods with a gap between them. The second period lasts until
// the latest expiry.
func (f *farmer) uptime(t Terms) node.Uptime {
	if f.first.IsZero() {
		return node.Uptime{}
	}
	whole := min(f.end.Sub(f.first), t.Now.Sub(f.first))
	start := f.first.Add(time.Duration(f.stretchPart * float64(whole)))
	before := time.Duration(f.onlineBefore * float64(start.Sub(f.first)))
	return node.Uptime{Since: f.first, Start: start, End: f.end, Before: before}
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}
