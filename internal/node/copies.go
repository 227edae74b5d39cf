package node

import (
	"math"
	"net/netip"
	"slices"
	"time"
)

// Holder says who holds a copy of a file, and where.
type Holder struct {
	TokenID, AddressID int64
	Vicinity           string // see VicinityOf
	Country            string // "" if unknown
}

// VicinityOf returns the network that an IP address is in: its /24 for IPv4, its /64 for
// IPv6. Machines in one such network often fail together, or belong to one person.
func VicinityOf(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	addr = addr.Unmap().WithZone("")
	bits := 24
	if addr.Is6() {
		bits = 64
	}
	return netip.PrefixFrom(addr, bits).Masked().String()
}

// MayJoin reports whether a farmer may hold a copy of a file that others hold.
func (h Holder) MayJoin(others []Holder) bool {
	return !slices.ContainsFunc(others, func(o Holder) bool {
		return o.TokenID == h.TokenID || o.AddressID == h.AddressID || o.Vicinity == h.Vicinity
	})
}

// AddsCountry reports whether a farmer is in a country in which no other holder is.
func (h Holder) AddsCountry(others []Holder) bool {
	return h.Country != "" && !slices.ContainsFunc(others, func(o Holder) bool { return o.Country == h.Country })
}

// Need returns how urgently a file needs another copy: more for each copy that it lacks,
// and for each holder that may fail. lower has the lower bound of each holder's score. A
// file that no farmer holds has the least need. Otherwise new files would make the others wait
// for their copies for as long as there are new files.
func Need(redundancy int64, lower []float64) int64 {
	if len(lower) == 0 {
		return NeedOfNew
	}
	lacks := float64(redundancy)
	for _, l := range lower {
		lacks -= l
	}
	return NeedOfNew + 1 + int64(math.Round(10*max(0, lacks)))
}

const (
	// NeedOfNew is the need of a file that no farmer holds.
	NeedOfNew = 1
	// NeedOfRenewal is the need of a file with a completed contract. It is larger than any
	// other, so that the farmer gets the file again before it takes other files.
	NeedOfRenewal = 1000
)

// Repairs is what was seen of the copies of files in the last 24 hours.
type Repairs struct {
	Losses   int64   // copies that were lost
	CopyDays float64 // the sum of the times in which the copies were live, in days
	Repairs  int64   // lost copies that were replaced

	// From the loss of a copy to the hand-out of another one; 0 if there were no repairs.
	Mean, Median, P99 time.Duration
}

// DaysToLoss estimates after how many days a file loses its last copy, if n farmers hold it
// now. expected is 0 if nothing can be said, because no copy was lost. Then the result
// is at least the second one, with a confidence of 95 %, or 0 if no copies were seen.
// As long as no repair was seen, the results assume that nothing is repaired.
//
// The rate of losses is Losses / CopyDays. If there are none in D copy-days, it is at most
// 3/D with a confidence of 95 % (the rule of three: a Poisson distribution with the mean
// 3 is 0 in 5 % of the cases).
func (r Repairs) DaysToLoss(n int64) (expected, atLeast float64) {
	if r.CopyDays <= 0 {
		return 0, 0
	}
	repair := 0.0
	if r.Repairs > 0 {
		repair = max(r.Mean, time.Second).Hours() / 24 // clocks can differ
	}
	if r.Losses == 0 {
		return 0, daysToLoss(n, 3/r.CopyDays, repair)
	}
	return daysToLoss(n, float64(r.Losses)/r.CopyDays, repair), 0
}

// daysToLoss returns the expected time until a file loses its last copy. Each copy is
// lost at a rate of loss per day, on its own. While copies are missing, one of them
// is replaced after repair days on average; there are no repairs if repair is 0. The
// times have exponential distributions.
//
// The number of copies is a birth and death process. Let T(k) be the expected time from k copies
// until there are k-1 for the first time:
//
//	T(n) = 1 / (n loss)
//	T(k) = (1 + T(k+1) / repair) / (k loss)    for 0 < k < n
//
// A loss comes 1 / (k loss) days after the file has k copies, not counting the times with more
// copies. In that time there are 1 / (k loss repair) repairs, and after each of them
// it takes T(k+1) until there are k copies again. The result is T(n) + ... + T(1).
func daysToLoss(n int64, loss, repair float64) (days float64) {
	last := 0.0
	for k := n; k > 0; k-- {
		next := 1 / (float64(k) * loss)
		if k < n && repair > 0 {
			next *= 1 + last/repair
		}
		days, last = days+next, next
	}
	return days
}
