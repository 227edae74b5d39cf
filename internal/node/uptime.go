package node

import "time"

// Uptime is the union of a farmer's contract lifetimes, kept so that neither a
// new contract nor a new heartbeat needs a scan: the current online stretch
// and the length of those before it. The zero value is a farmer that never had
// a contract.
type Uptime struct {
	Since  time.Time     // the first contract's hand-out
	Start  time.Time     // the current stretch's start
	End    time.Time     // its end so far: the latest expiry known
	Before time.Duration // the stretches before it, together
}

// Extend takes in a contract that at now lives until expiry.
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

// Online says whether any contract lives at now.
func (u Uptime) Online(now time.Time) bool { return now.Before(u.End) }

// Percent is the share of the time since the first contract in which the
// farmer had a living contract, from 0 to 100.
func (u Uptime) Percent(now time.Time) float64 {
	if u.Since.IsZero() {
		return 0
	}
	total := now.Sub(u.Since)
	if total <= 0 {
		return 100
	}
	return 100 * float64(u.Sum(now)) / float64(total)
}

// Sum is the time online up to now, which must not be in a stretch before the
// current one.
func (u Uptime) Sum(now time.Time) time.Duration {
	end := u.End
	if now.Before(end) {
		end = now
	}
	return u.Before + max(0, end.Sub(u.Start))
}
