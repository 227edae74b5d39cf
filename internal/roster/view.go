package roster

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
)

// View holds all farmers at one moment. It is safe for concurrent use.
type View struct {
	Time time.Time // the moment
	read time.Time // when the database was read; later than Time in a fault of the node

	rules   node.ScoreRules
	farmers []entry                         // sorted by id
	orders  [len(node.FarmerSorts)][2]order // by Sort; 0 is ascending, 1 is descending
	summary func() node.Totals
	places  func() []node.Place

	addresses func() addresses
}

// entry is a farmer and its overdue contracts. The sweeper has not yet subtracted
// them from the farmer's counts.
type entry struct {
	*store.FarmerRecord
	over store.Overdue
}

func (e entry) contracts() int64 { return e.Contracts - e.over.Contracts }
func (e entry) size() int64      { return e.Size - e.over.Size }

func (e entry) farmer() node.Farmer {
	f := e.Farmer
	f.Contracts, f.Size = e.contracts(), e.size()
	return f
}

// order holds the farmers' positions in the order of one sort. It is made at
// first use.
type order struct {
	once      sync.Once
	asked     atomic.Bool // a reader has used the order
	positions []int32
}

// NewView applies news to the farmers of last. last may be nil. The rules rate the
// farmers.
func NewView(now time.Time, rules node.ScoreRules, last *View, news *store.FarmerNews) *View {
	v := &View{Time: now, rules: rules}
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

// merge applies the news to old. Both old and the result are sorted by id.
func merge(old []entry, news *store.FarmerNews) []entry {
	slices.SortFunc(news.Changed, func(a, b *store.FarmerRecord) int { return strings.Compare(a.ID, b.ID) })
	deleted := make(map[string]bool, len(news.Gone))
	for _, id := range news.Gone {
		deleted[id] = true
	}
	merged := make([]entry, 0, len(old)+len(news.Changed))
	keep := func(entries []entry) {
		if len(deleted) == 0 {
			merged = append(merged, entries...)
			return
		}
		for _, e := range entries {
			if !deleted[e.ID] {
				merged = append(merged, e)
			}
		}
	}
	for _, f := range news.Changed {
		at, found := slices.BinarySearchFunc(old, f.ID, entry.compareID)
		keep(old[:at])
		merged = append(merged, entry{FarmerRecord: f})
		if found {
			at++
		}
		old = old[at:]
	}
	keep(old)
	return merged
}

func (e entry) compareID(id string) int { return strings.Compare(e.ID, id) }

// prepare makes the orders that readers of last have used. So readers of v need not
// wait for these orders.
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
	// Country selects the farmers of a country by its name. Unknown selects the
	// farmers without a known country.
	Country string
	Limit   int // farmers on a page; 0 means all
	Page    int // the page number, from 0
}

// Unknown is the name of the country of a farmer whose country is unknown.
const Unknown = "Unknown"

// country returns the name of the farmer's country, or Unknown.
func (e entry) country() string {
	if e.Location == nil {
		return Unknown
	}
	return cmp.Or(e.Location.Country, Unknown)
}

// List returns the farmers of a page, and the number of farmers on all pages.
func (v *View) List(q Query) (page iter.Seq[node.Farmer], total int) {
	positions := v.ordered(q.Sort, q.Desc)
	filter := q.Online
	switch {
	case q.Search+q.Country != "":
		positions, filter = v.search(positions, q), false
		total = len(positions)
	case q.Online:
		total = int(v.Summary().Online)
	default:
		total = len(positions)
	}
	skip, limit := 0, total
	if q.Limit > 0 {
		// A page beyond the last one is empty. The inner min keeps Page*Limit from
		// overflowing.
		limit = min(total, q.Limit)
		skip = min(total, min(q.Page, total/q.Limit+1)*q.Limit)
	}
	if !filter {
		positions, skip = positions[skip:], 0
	}
	return v.page(positions, filter, skip, limit), total
}

// page skips the first skip farmers and then yields up to limit farmers. If online is
// set, it ignores farmers that are offline.
func (v *View) page(positions []int32, online bool, skip, limit int) iter.Seq[node.Farmer] {
	return func(yield func(node.Farmer) bool) {
		passed := 0
		for _, at := range positions {
			e := v.farmers[at]
			if online && !e.Uptime.Online(v.Time) {
				continue
			}
			if passed++; passed <= skip {
				continue
			}
			if !yield(e.farmer()) || passed == skip+limit {
				return
			}
		}
	}
}

// Summary returns the totals over all farmers. Heartbeats, Wrong and Expired count
// events since the creation of each token. Expired counts only contracts that the
// sweeper has swept.
func (v *View) Summary() node.Totals { return v.summary() }

func (v *View) sum() node.Totals {
	s := node.Totals{Farmers: int64(len(v.farmers))}
	for _, e := range v.farmers {
		if e.Uptime.Online(v.Time) {
			s.Online++
		}
		s.Contracts += e.contracts()
		s.Size += e.size()
		s.Heartbeats += e.Heartbeats
		s.Wrong += e.Wrong
		s.Expired += e.Expired
	}
	return s
}

// addresses holds the addresses of all farmers in one text, sorted by farmer
// id. A search is then one pass over contiguous memory.
type addresses struct {
	text string // every address, each followed by a newline
	ends []int  // the end of each line in text
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

// search returns the positions of the farmers that match the query. It keeps the
// order of positions.
func (v *View) search(positions []int32, q Query) []int32 {
	found := func(int32) bool { return true }
	if q.Search != "" {
		matching := v.found(q.Search)
		found = func(at int32) bool { return matching[at] }
	}
	var matches []int32
	for _, at := range positions {
		if found(at) && (q.Country == "" || v.farmers[at].country() == q.Country) && (!q.Online || v.farmers[at].Uptime.Online(v.Time)) {
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
	first, _ := slices.BinarySearchFunc(v.farmers, prefix, entry.compareID)
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
