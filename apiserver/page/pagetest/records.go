package pagetest

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/driveshare/downstream-node/apiserver/page"
	"github.com/driveshare/downstream-node/internal/node"
)

// Records are farmers in memory. They are safe for concurrent use.
type Records struct {
	mu      sync.Mutex
	now     time.Time
	farmers []page.Farmer
	orders  map[order][]page.Farmer // made when asked for
	away    bool
	age     time.Duration // of the node
}

type order struct {
	sort string
	desc bool
}

var _ page.Records = (*Records)(nil)

// ErrAway is what every read fails with while the records are away.
var ErrAway = errors.New("the database is away")

// SetAway makes every read fail, or ends that.
func (r *Records) SetAway(away bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = away
}

// SetAge makes the node's history so long.
func (r *Records) SetAge(age time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.age = age
}

// Hold makes every read wait until end is called.
func (r *Records) Hold() (end func()) {
	r.mu.Lock()
	return r.mu.Unlock
}

// Change changes the farmers, in the order of their making.
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

// List reads a page of farmers.
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

// Show reads one farmer.
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

// Summary adds the farmers up.
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

// Places gathers the farmers by where they are.
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
