package store

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/driveshare/downstream-node/internal/node"
)

// event is something that the record has to know of.
type event struct {
	at time.Time
	node.Totals
}

// spanRow is a row of the record, see migrations/mysql.
type spanRow struct {
	Step   int
	Start  int64
	Shard  int
	Counts node.Totals `gorm:"embedded"`
}

// The values of spanRow.Step.
const (
	stepBefore = 0 // all that is too old for an hour of its own
	stepMinute = 1
	stepHour   = 2
)

// shards is how many transactions can add to a minute and not meet, at best.
const shards = 16

const spanColumns = "farmers, online, contracts, size, heartbeats, wrong, expired"

// record adds the events to their minutes, within the transaction that they
// happen in: what is committed is recorded, once. It comes last there, since
// others may wait for the same rows.
func (s *Store) record(tx *gorm.DB, events []event) error {
	minutes := map[int64]node.Totals{}
	for _, e := range events {
		start := micros(e.at.Truncate(time.Minute))
		minutes[start] = minutes[start].Plus(e.Totals)
	}
	shard := 1 + rand.N(shards)
	var rows []spanRow
	for start, c := range minutes {
		if c != (node.Totals{}) {
			rows = append(rows, spanRow{stepMinute, start, shard, c})
		}
	}
	return s.addSpans(tx, rows)
}

// addSpans adds the rows to those there are.
func (s *Store) addSpans(tx *gorm.DB, rows []spanRow) error {
	slices.SortFunc(rows, func(a, b spanRow) int { return cmp.Compare(a.Start, b.Start) })
	for batch := range slices.Chunk(rows, batchRows) {
		values := make([]any, 0, 10*len(batch))
		for _, r := range batch {
			c := r.Counts
			values = append(values, r.Step, r.Start, r.Shard,
				c.Farmers, c.Online, c.Contracts, c.Size, c.Heartbeats, c.Wrong, c.Expired)
		}
		sql := "INSERT INTO spans (step, start, shard, " + spanColumns + ") VALUES (?,?,?,?,?,?,?,?,?,?)" +
			strings.Repeat(", (?,?,?,?,?,?,?,?,?,?)", len(batch)-1) +
			s.dialect.orAdd("step, start, shard", strings.Split(spanColumns, ", "))
		if _, err := exec(tx, sql, values...); err != nil {
			return err
		}
	}
	return nil
}

// What can happen to a token. These methods alone change its counts and its
// uptime; each notes what the record has to add, and saveTokens writes all.

// take counts contracts that live from now until due.
func (t *lockedToken) take(now, due time.Time, contracts, size int64) {
	t.turn(now)
	t.live(now, due)
	t.count(now, node.Totals{Contracts: contracts, Size: size})
	t.LastDue = max(t.LastDue, micros(due))
}

// beat counts a heartbeat by which its contract lives until expiry.
func (t *lockedToken) beat(received, expiry time.Time) {
	t.turn(received)
	t.live(received, expiry)
	t.count(received, node.Totals{Heartbeats: 1})
}

// wrong counts a wrong answer.
func (t *lockedToken) wrong(received time.Time) {
	t.turn(received)
	t.count(received, node.Totals{Wrong: 1})
}

// lose takes a contract off the counts that is over since expiry.
func (t *lockedToken) lose(expiry time.Time, size int64) {
	t.turn(expiry)
	t.count(expiry, node.Totals{Contracts: -1, Size: -size, Expired: 1})
	if t.Contracts == 0 {
		t.note(moment(t.Uptime.UpEnd), node.Totals{Online: -1})
	}
}

// regain undoes lose: an answer in time had its verdict still to come.
func (t *lockedToken) regain(expiry time.Time, size int64) {
	if t.Contracts == 0 {
		t.note(moment(t.Uptime.UpEnd), node.Totals{Online: 1})
	}
	t.count(expiry, node.Totals{Contracts: 1, Size: size, Expired: -1})
}

// leave takes what the token has off the record.
func (t *lockedToken) leave(now time.Time) {
	if t.Contracts > 0 {
		t.note(earlier(now, moment(t.Uptime.UpEnd)), node.Totals{Online: -1})
	}
	t.note(now, node.Totals{Farmers: -1, Contracts: -t.Contracts, Size: -t.Size})
}

// live extends the time online. For the record a farmer comes online when its
// contracts are no longer none, and goes, at the end of its uptime, when the
// last is taken off.
func (t *lockedToken) live(from, until time.Time) {
	uptime := t.Uptime.uptime()
	if t.Contracts == 0 || from.After(uptime.End) {
		if t.Contracts > 0 { // those are over, but not off yet
			t.note(uptime.End, node.Totals{Online: -1})
		}
		t.note(later(from, uptime.End), node.Totals{Online: 1})
	}
	// An extension that comes late moves no end of a day before: had its farmer
	// not been online then, what turned the day would have begun a new stretch.
	uptime.Extend(from, until)
	t.Uptime = uptimeColumns(uptime)
}

func (t *lockedToken) count(at time.Time, c node.Totals) {
	t.Contracts += c.Contracts
	t.Size += c.Size
	t.Heartbeats += c.Heartbeats
	t.Wrong += c.Wrong
	t.Expired += c.Expired
	if day := dayOf(at); day < t.Day.Day {
		t.amend(day, c)
	}
	t.note(at, c)
}

func (t *lockedToken) note(at time.Time, c node.Totals) { t.events = append(t.events, event{at, c}) }

// eventsOf collects what happened to the tokens.
func eventsOf(tokens []*lockedToken) []event {
	var events []event
	for _, t := range tokens {
		events = append(events, t.events...)
	}
	return events
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
