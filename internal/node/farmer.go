package node

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// Location is the probable place of a farmer's IP address. A text is empty if it is
// unknown. Lat and Lon are both 0 if they are unknown.
type Location struct {
	Country, State, City, Zip string
	Lat, Lon                  float64
}

// HasCoordinates reports whether Lat and Lon are known. There is only sea at 0, 0.
func (l Location) HasCoordinates() bool { return l.Lat != 0 || l.Lon != 0 }

// Farmer is one token as the status API shows it.
type Farmer struct {
	ID         string
	Address    string
	Location   *Location // nil if unknown
	Uptime     Uptime
	Heartbeats int64
	Contracts  int64 // number of contracts that have not expired
	Size       int64 // bytes of these contracts
	IP         string
	Created    time.Time
	LastDue    time.Time // the latest due time of the farmer's contracts; zero if the farmer never had a contract

	Evidence      Evidence
	ProvenSince   time.Time // the first accepted proof; zero if there is none
	LastHeartbeat time.Time // the last accepted proof; zero if there is none since the node records it
	Suspension    Suspension
}

// Standing returns the farmer's standing at now, and its suspension if it is suspended.
func (f *Farmer) Standing(rules ScoreRules, now time.Time) (Standing, Suspension) {
	s := f.Suspension
	if s.By != NotSuspended && rules.Suspend(s, f.Evidence, true, now).By == NotSuspended {
		s = Suspension{} // the bound has risen since the last event
	}
	switch {
	case s.By != NotSuspended:
		return Suspended, s
	case f.Heartbeats == 0:
		return New, s
	}
	return Good, s
}

// Score returns what farmers are ordered by: the lower of the two lower bounds. known is
// false if the farmer has proved nothing, or if there is no evidence yet or any more.
func (f *Farmer) Score(rules ScoreRules, now time.Time) (lower float64, known bool) {
	if f.Heartbeats == 0 {
		return 0, false
	}
	online, correct := f.Evidence.Scores(now, rules.HalfLife)
	return min(online.Lower, correct.Lower), max(online.Weight, correct.Weight) > 0
}

// IPHash returns a hash that hides the IP address. Two farmers at the same IP
// address have the same hash. The hash depends on a secret key. So only the owner
// of the key can find the IP address by trying all IP addresses.
func IPHash(key []byte, ip string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(ip))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// FarmerSorts are the names of the columns that a list of farmers can be sorted by, in the
// order of roster.Sort. They are here because a client must not depend on the store.
var FarmerSorts = [...]string{"id", "address", "uptime", "heartbeats", "contracts", "size", "online", "score", "since", "seen", "place"}
