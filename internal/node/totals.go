package node

import "time"

// Totals are sums over all farmers, or the change of these sums by an event.
type Totals struct {
	Farmers, Online            int64
	Contracts, Size            int64 // contracts that have not expired; Size in bytes
	Heartbeats, Wrong, Expired int64
}

// Plus adds two totals field by field.
func (t Totals) Plus(o Totals) Totals {
	return Totals{
		Farmers:    t.Farmers + o.Farmers,
		Online:     t.Online + o.Online,
		Contracts:  t.Contracts + o.Contracts,
		Size:       t.Size + o.Size,
		Heartbeats: t.Heartbeats + o.Heartbeats,
		Wrong:      t.Wrong + o.Wrong,
		Expired:    t.Expired + o.Expired,
	}
}

// Span is the node's record of a span of time. Farmers, Online, Contracts and Size
// are the values at the end of the span. Heartbeats, Wrong and Expired count the
// events within the span. A proof counts at the time when it was received. An
// expiry counts at the time when the contract expired.
type Span struct {
	Start time.Time
	Totals
}

// Day is one farmer's record of a UTC day. Contracts and Size are the values at the
// end of the day, or the current values if the day is not over.
type Day struct {
	Start             time.Time
	Online            time.Duration
	Possible          time.Duration // the part of the day after the farmer's first hand-out, without faults of the node
	Heartbeats, Wrong int64
	Contracts, Size   int64 // Size in bytes
}

// Uptime is the percentage of the possible time that the farmer was online. It is 100
// for a day without possible time, because the farmer has missed nothing.
func (d Day) Uptime() float64 {
	if d.Possible == 0 {
		return 100
	}
	return 100 * float64(d.Online) / float64(d.Possible)
}

// UptimeOver is the uptime over the last days of a farmer, in percent. days are in
// order of time and without gaps. known is false if none of the last days has possible time.
func UptimeOver(days []Day, last int) (uptime float64, known bool) {
	var sum Day
	for _, d := range days[max(0, len(days)-last):] {
		sum.Online += d.Online
		sum.Possible += d.Possible
	}
	return sum.Uptime(), sum.Possible > 0
}

// Place counts the farmers at one place on the map. If nearby places were merged,
// Country and City are the names of the place with the most farmers.
type Place struct {
	Lat, Lon        float64
	Country, City   string // "" if unknown
	Farmers, Online int64
}
