package roster

import (
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
)

// View is the farmers at one moment.
type View struct {
	Time time.Time

	farmers []entry                  // by id
	orders  [len(sortNames)][2]order // ascending, descending
	summary func() node.Totals
	places  func() []node.Place

	addresses func() addresses
}

// entry is a farmer beside what of its counts is over.
type entry struct {
	*store.FarmerRecord
	over store.Overdue
}

func (e entry) farmer() node.Farmer {
	f := e.Farmer
	f.Contracts -= e.over.Contracts
	f.Size -= e.over.Size
	return f
}

// order is the farmers' positions in a sort's order, made when it is asked for.
type order struct {
	once      sync.Once
	asked     atomic.Bool
	positions []int32
}

// newView is the farmers of last, which may be nil, after the news.
func newView(now time.Time, last *View, news *store.FarmerNews) *View {
	v := &View{Time: now}
	if last != nil {
		v.farmers = last.farmers
	}
	v.farmers = merge(v.farmers, news)
	for i := range v.farmers {
		v.farmers[i].over = news.Overdue[v.farmers[i].TokenID]
	}
	v.summary = sync.OnceValue(v.sum)
	v.places = sync.OnceValue(func() []node.Place { return v.gather(maxPlaces) })
	v.addresses = sync.OnceValue(v.listAddresses)
	return v
}

// merge makes a new list of the old one, which is in the order of ids.
func merge(old []entry, news *store.FarmerNews) []entry {
	byID := func(a, b *store.FarmerRecord) int { return strings.Compare(a.ID, b.ID) }
	slices.SortFunc(news.Changed, byID)
	gone := make(map[string]bool, len(news.Gone))
	for _, id := range news.Gone {
		gone[id] = true
	}
	merged := make([]entry, 0, len(old)+len(news.Changed))
	for _, f := range news.Changed {
		at, found := slices.BinarySearchFunc(old, f, func(e entry, f *store.FarmerRecord) int { return byID(e.FarmerRecord, f) })
		merged = appendStaying(merged, old[:at], gone)
		merged = append(merged, entry{FarmerRecord: f})
		if found {
			at++
		}
		old = old[at:]
	}
	return appendStaying(merged, old, gone)
}

func appendStaying(to, old []entry, gone map[string]bool) []entry {
	if len(gone) == 0 {
		return append(to, old...)
	}
	for _, e := range old {
		if !gone[e.ID] {
			to = append(to, e)
		}
	}
	return to
}

// prepare makes the orders that last was asked for, so that nobody who asks
// for the like waits for them.
func (v *View) prepare(last *View) {
	if last == nil {
		return
	}
	for sort := range last.orders {
		for i := range last.orders[sort] {
			if last.orders[sort][i].asked.Load() {
				v.make(Sort(sort), i == 1)
			}
		}
	}
}

// Query is which farmers to list, and in what order. Those that compare equal
// are in the order of their ids.
type Query struct {
	Sort   Sort
	Desc   bool
	Online bool   // those alone that are
	Search string // what an id begins with, or an address contains
	Limit  int    // farmers a page; 0 means all
	Page   int    // from 0
}

// List gives the farmers of a page, and how many there are on all pages.
func (v *View) List(q Query) (page iter.Seq[node.Farmer], total int) {
	positions := v.ordered(q.Sort, q.Desc)
	switch {
	case q.Search != "":
		positions = v.search(positions, q)
		total = len(positions)
	case q.Online:
		total = int(v.Summary().Online)
	default:
		total = len(positions)
	}
	skip, limit := 0, total
	if q.Limit > 0 {
		skip, limit = total, min(total, q.Limit)
		if q.Page <= total/q.Limit {
			skip = min(total, q.Page*q.Limit)
		}
	}
	if q.Search == "" && q.Online {
		return v.online(positions, skip, limit), total
	}
	return v.each(positions[skip:min(total, skip+limit)]), total
}

// Show finds one farmer by its id.
func (v *View) Show(id string) (node.Farmer, bool) {
	at, ok := v.find(id)
	if !ok {
		return node.Farmer{}, false
	}
	return v.farmers[at].farmer(), true
}

func (v *View) find(id string) (at int, ok bool) {
	return slices.BinarySearchFunc(v.farmers, id, func(e entry, id string) int { return strings.Compare(e.ID, id) })
}

func (v *View) each(positions []int32) iter.Seq[node.Farmer] {
	return func(yield func(node.Farmer) bool) {
		for _, at := range positions {
			if !yield(v.farmers[at].farmer()) {
				return
			}
		}
	}
}

// online is each, of those that are online, after the first few.
func (v *View) online(positions []int32, skip, limit int) iter.Seq[node.Farmer] {
	return func(yield func(node.Farmer) bool) {
		for _, at := range positions {
			e := v.farmers[at]
			if !e.Uptime.Online(v.Time) {
				continue
			}
			if skip--; skip >= 0 {
				continue
			}
			if limit--; limit < 0 || !yield(e.farmer()) {
				return
			}
		}
	}
}

// Summary adds up the farmers. Heartbeats, Wrong and Expired count from each
// token's creation on; Expired is what the sweeper has counted so far.
func (v *View) Summary() node.Totals { return v.summary() }

func (v *View) sum() node.Totals {
	s := node.Totals{Farmers: int64(len(v.farmers))}
	for _, e := range v.farmers {
		if e.Uptime.Online(v.Time) {
			s.Online++
		}
		s.Contracts += e.Contracts - e.over.Contracts
		s.Size += e.Size - e.over.Size
		s.Heartbeats += e.Heartbeats
		s.Wrong += e.Wrong
		s.Expired += e.Expired
	}
	return s
}
