package roster

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// Sort is a column that a list can be sorted by. Its name is in node.FarmerSorts.
type Sort int

// The columns.
const (
	ByID Sort = iota
	ByAddress
	ByUptime
	ByHeartbeats
	ByContracts
	BySize
	ByOnline
	ByScore
	BySince // the first right proof
	BySeen  // the last right proof
	ByPlace // the country, then the city
)

// ParseSort returns the sort with the given name.
func ParseSort(name string) (Sort, bool) {
	i := slices.Index(node.FarmerSorts[:], name)
	return Sort(i), i >= 0
}

func (s Sort) String() string { return node.FarmerSorts[s] }

// ordered returns the positions of all farmers in the order of sort. It marks the
// order as used, so that prepare makes it for the next view.
func (v *View) ordered(sort Sort, desc bool) []int32 {
	o := v.make(sort, desc)
	o.asked.Store(true)
	return o.positions
}

func (v *View) make(sort Sort, desc bool) *order {
	o := &v.orders[sort][0]
	if desc {
		o = &v.orders[sort][1]
	}
	o.once.Do(func() { o.positions = v.order(sort, desc) })
	return o
}

// order sorts the farmers by one number each. For a descending order it sorts by the
// complement of the number. v.farmers is sorted by id and the sort is stable, so
// farmers with the same number are sorted by id.
func (v *View) order(sort Sort, desc bool) []int32 {
	positions := make([]int32, len(v.farmers))
	for i := range positions {
		positions[i] = int32(i)
	}
	if sort == ByID {
		if desc {
			slices.Reverse(positions)
		}
		return positions
	}
	keys := make([]key, len(v.farmers))
	for i, e := range v.farmers {
		keys[i] = key{v.number(sort, e), int32(i)}
		if desc {
			keys[i].number = ^keys[i].number
		}
	}
	keys = radixSort(keys)
	for i, k := range keys {
		positions[i] = k.position
	}
	if text := texts[sort]; text != nil {
		v.orderTies(keys, positions, text, desc)
	}
	return positions
}

// texts returns the text of a farmer in each column of texts.
var texts = map[Sort]func(e entry) string{
	ByAddress: func(e entry) string { return e.Address },
	ByPlace:   func(e entry) string { return e.place() },
}

// place is the text that farmers are sorted by: the country and then the city. It is "" for a farmer whose
// place is unknown.
func (e entry) place() string {
	if e.Location == nil {
		return ""
	}
	return e.Location.Country + "\n" + e.Location.City
}

// number returns a number for a farmer. Numbers have the same order as the values of
// the column. A text is the exception: its number holds only the first eight
// bytes, and orderTies compares the rest.
func (v *View) number(sort Sort, e entry) uint64 {
	if text := texts[sort]; text != nil {
		return beginning(text(e))
	}
	switch sort {
	case BySince:
		return instant(e.ProvenSince)
	case BySeen:
		return instant(e.LastHeartbeat)
	case ByUptime:
		return math.Float64bits(e.Uptime.Percent(v.Time)) // never negative
	case ByHeartbeats:
		return signed(e.Heartbeats)
	case ByContracts:
		return signed(e.contracts())
	case BySize:
		return signed(e.size())
	case ByScore:
		lower, proven := e.Score(v.rules, v.Time)
		if !proven {
			return 0
		}
		return 1 + math.Float64bits(lower) // lower is never negative
	}
	if e.Uptime.Online(v.Time) { // ByOnline
		return 1
	}
	return 0
}

// instant orders times; the zero time is the first.
func instant(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return signed(t.UnixMicro())
}

func signed(n int64) uint64 { return uint64(n) ^ 1<<63 }

func beginning(text string) uint64 {
	var b [8]byte
	copy(b[:], text)
	return binary.BigEndian.Uint64(b[:])
}

// orderTies sorts farmers whose texts begin with the same eight bytes.
func (v *View) orderTies(keys []key, positions []int32, text func(entry) string, desc bool) {
	for from := 0; from < len(keys); {
		to := from + 1
		for to < len(keys) && keys[to].number == keys[from].number {
			to++
		}
		if to-from > 1 {
			slices.SortStableFunc(positions[from:to], func(a, b int32) int {
				if desc {
					a, b = b, a
				}
				return strings.Compare(text(v.farmers[a]), text(v.farmers[b]))
			})
		}
		from = to
	}
}

// key is a farmer's position and the number to sort it by.
type key struct {
	number   uint64
	position int32
}

// radixSort is a stable sort by number. For 100,000 random keys it takes a fifth of
// the time of slices.SortFunc. One run measured 4.9 ms and 28 ms, and the next run
// 5.8 ms and 27 ms. The time matters because every view needs a new order by uptime,
// up to once a second.
func radixSort(keys []key) []key {
	const bits, digits = 11, 6
	var counts [digits][1 << bits]int32
	for _, k := range keys {
		for d := range digits {
			counts[d][k.number>>(d*bits)&(1<<bits-1)]++
		}
	}
	sorted := make([]key, len(keys))
	for d := range digits {
		count := &counts[d]
		if len(keys) > 0 && int(count[keys[0].number>>(d*bits)&(1<<bits-1)]) == len(keys) {
			continue // all keys have the same digit
		}
		var at int32
		for i, n := range count {
			count[i], at = at, at+n
		}
		for _, k := range keys {
			i := k.number >> (d * bits) & (1<<bits - 1)
			sorted[count[i]] = k
			count[i]++
		}
		keys, sorted = sorted, keys
	}
	return keys
}
