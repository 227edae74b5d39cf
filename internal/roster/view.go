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

// View is the farmers at one moment. It is safe for concurrent use.
type View struct {
	Time time.Time

	farmers []entry                  // by id
	orders  [len(sortNames)][2]order // ascending, descending
	summary func() node.Totals
	places  func() []node.Place

	addresses func() addresses
}

// entry is a farmer and how much of its counts has expired since the last sweep.
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

// order holds the farmers' positions in the order of one sort. It is made at
// first use.
type order struct {
	once      sync.Once
	asked     atomic.Bool
	positions []int32
}

// newView applies news to the farmers of last, which may be nil.
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

// merge returns old, which is sorted by id, with the news applied.
func merge(old []entry, news *store.FarmerNews) []entry {
	byID := func(a, b *store.FarmerRecord) int { return strings.Compare(a.ID, b.ID) }
	slices.SortFunc(news.Changed, byID)
	deleted := make(map[string]bool, len(news.Gone))
	for _, id := range news.Gone {
		deleted[id] = true
	}
	merged := make([]entry, 0, len(old)+len(news.Changed))
	for _, f := range news.Changed {
		at, found := slices.BinarySearchFunc(old, f, func(e entry, f *store.FarmerRecord) int { return byID(e.FarmerRecord, f) })
		merged = appendRemaining(merged, old[:at], deleted)
		merged = append(merged, entry{FarmerRecord: f})
		if found {
			at++
		}
		old = old[at:]
	}
	return appendRemaining(merged, old, deleted)
}

func appendRemaining(to, old []entry, deleted map[string]bool) []entry {
	if len(deleted) == 0 {
		return append(to, old...)
	}
	for _, e := range old {
		if !deleted[e.ID] {
			to = append(to, e)
		}
	}
	return to
}

// prepare makes the orders that readers of last used, so that readers of v need
// not wait for them.
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

// Query selects and sorts farmers. Farmers that compare equal are sorted by id.
type Query struct {
	Sort   Sort
	Desc   bool
	Online bool   // only farmers that are online
	Search string // the beginning of an id or a part of an address
	Limit  int    // farmers on a page; 0 means all
	Page   int    // from 0
}

// List returns the farmers of a page, and the number of farmers on all pages.
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

func (v *View) each(positions []int32) iter.Seq[node.Farmer] {
	return func(yield func(node.Farmer) bool) {
		for _, at := range positions {
			if !yield(v.farmers[at].farmer()) {
				return
			}
		}
	}
}

// online yields up to limit farmers that are online, after the first skip ones.
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

// Summary returns the totals over all farmers. Heartbeats, Wrong and Expired
// count since each token's creation; Expired counts what the sweeper has swept.
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

// addresses holds the addresses of all farmers in one text, sorted by farmer
// id. A search is then one pass over contiguous memory.
type addresses struct {
	text string // each address with a newline
	ends []int  // where each line ends
}

func (v *View) listAddresses() addresses {
	length := 0
	for _, e := range v.farmers {
		length += len(e.Address) + 1
	}
	var text strings.Builder
	text.Grow(length)
	ends := make([]int, len(v.farmers))
	for i, e := range v.farmers {
		text.WriteString(e.Address)
		text.WriteByte('\n')
		ends[i] = text.Len()
	}
	return addresses{text.String(), ends}
}

// search returns those of the positions that match the query.
func (v *View) search(positions []int32, q Query) []int32 {
	found := v.found(q.Search)
	var matches []int32
	for _, at := range positions {
		if found[at] && (!q.Online || v.farmers[at].Uptime.Online(v.Time)) {
			matches = append(matches, at)
		}
	}
	return matches
}

// found reports for each farmer whether its id begins with the word or its
// address contains it.
func (v *View) found(word string) []bool {
	found := make([]bool, len(v.farmers))
	prefix := strings.ToLower(word)
	first, _ := slices.BinarySearchFunc(v.farmers, prefix, func(e entry, id string) int { return strings.Compare(e.ID, id) })
	for at := first; at < len(found) && strings.HasPrefix(v.farmers[at].ID, prefix); at++ {
		found[at] = true
	}
	if strings.Contains(word, "\n") {
		return found // no address holds a newline
	}
	all, at, line := v.addresses(), 0, 0
	for {
		next := strings.Index(all.text[at:], word)
		if next < 0 {
			return found
		}
		for all.ends[line] <= at+next {
			line++
		}
		found[line], at = true, all.ends[line]
	}
}
