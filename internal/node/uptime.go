package node

import "time"

// Uptime is the union of the lifetimes of a farmer's contracts. It holds the
// current online stretch and the total length of the earlier stretches, so that a
// new contract or heartbeat needs no scan of all contracts. The zero value is the
// uptime of a farmer that has never had a contract.
type Uptime struct {
	Since  time.Time     // the time of the first hand-out
	Start  time.Time     // start of the current stretch
	End    time.Time     // end of the current stretch: the latest known expiry
	Before time.Duration // total length of the earlier stretches
}

// Extend adds the lifetime of a contract that lives from now until expiry.
func (u *Uptime) Extend(now, expiry time.Time) {
	switch {
	case u.Since.IsZero():
		*u = Uptime{Since: now, Start: now, End: expiry}
	case now.After(u.End):
		u.Before += u.End.Sub(u.Start)
		u.Start, u.End = now, expiry
	case expiry.After(u.End):
		u.End = expiry
	}
}

// Online reports whether any contract lives at now.
func (u Uptime) Online(now time.Time) bool { return now.Before(u.End) }

// Percent returns the percentage of the time since the first hand-out during
// which the farmer had a live contract. A fault moves uptimes to its Resume, which can be
// later than now. Until then, Percent is not more than 100.
func (u Uptime) Percent(now time.Time) float64 {
	if u.Since.IsZero() {
		return 0
	}
	now = later(now, u.Start)
	total := now.Sub(u.Since)
	if total <= 0 {
		return 100
	}
	return min(100, 100*float64(u.Sum(now))/float64(total))
}

// Sum returns the time online until now. If now is before the current stretch, Sum
// returns the time until its start.
func (u Uptime) Sum(now time.Time) time.Duration {
	end := u.End
	if now.Before(end) {
		end = now
	}
	return u.Before + max(0, end.Sub(u.Start))
}
