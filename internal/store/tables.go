package store

import "github.com/driveshare/downstream-node/internal/node"

// The rows of the tables. tableOf derives the column names from the fields, and
// migrations/mysql explains the columns. The types with a method TableName are
// models for gorm, which runs single statements on them.

type reservationRow struct {
	ID         int64
	KeyID      int64
	Size       int64
	LeaseUntil int64
	ContentID  int64 // the file that the chunk is a copy of, or 0
}

func (reservationRow) TableName() string { return "reservations" }

type tagRow struct {
	FileID  int64 `gorm:"primaryKey;autoIncrement:false"`
	Part    int   `gorm:"primaryKey;autoIncrement:false"`
	Content []byte
}

func (tagRow) TableName() string { return "tags" }

type addressRow struct {
	ID          int64
	Address     string
	Whitelisted bool
	Balance     int64
}

var addressTable = tableOf[addressRow]("addresses")

type fileRow struct {
	ID        int64
	Hash      []byte
	Seed      string
	Size      int64
	KeyID     int64
	TagSize   int64
	ContentID int64 // the row in contents, or 0
}

// fileTable does not contain the column `redundancy`, which is always 1 and which nothing reads.
var fileTable = tableOf[fileRow]("files")

// chunkRow is a chunk of the inventory.
type chunkRow struct {
	ID        int64
	FileID    int64
	KeyID     int64
	Size      int64
	Challenge []byte
	State     []byte
	Created   int64
	Need      int64 // see node.Need; 0 for a file without a row in contents
}

var chunkTable = tableOf[chunkRow]("chunks")

type tokenRow struct {
	ID        int64
	Hash      []byte
	FarmerID  string
	AddressID int64
	KeyID     int64
	IP        string
	locationRow
	Heartbeats, Wrong, Expired int64
	Contracts, Size            int64
	uptimeRow
	LastDue int64
	Created int64
	openDay
	Evidence                   []byte // encoded, see node.Evidence
	ProvenSince, LastHeartbeat int64
	Suspended                  int64
	SuspendedBy                string
	SuspendedReason            string
	Events                     int64
}

// tokenTable does not contain the column `changed`, the database's time of the last
// write. Every transaction that writes a token sets this column, and FarmersSince
// selects tokens by it.
var tokenTable = tableOf[tokenRow]("tokens")

// tokenCounts are the columns that change if an event happens to a token's
// contracts. lockedColumns are the columns that such a transaction reads.
var (
	tokenCounts = tokenTable.only(
		"heartbeats", "wrong", "expired", "contracts", "size", "last_due", "up_since", "up_start", "up_end", "up_before",
		"day", "day_heartbeats", "day_wrong", "day_online", "evidence", "proven_since", "last_heartbeat", "events",
	)
	lockedColumns = append(tokenTable.only("id", "address_id", "key_id", "ip", "created", "suspended", "suspended_by", "suspended_reason"), tokenCounts...)
)

type locationRow struct {
	Country, State, City, Zip *string
	Lat, Lon                  *float64
}

// locationOf writes no NULL for an unknown part of a known location, because replicas of
// earlier versions read all parts if there is a country. It cuts texts to the width of their columns, because a long place name
// must not cause an error for the farmer.
func locationOf(l *node.Location) locationRow {
	if l == nil {
		return locationRow{}
	}
	clip := func(s string, runes int) *string {
		s = clip(s, runes)
		return &s
	}
	lat, lon := l.Lat, l.Lon
	return locationRow{
		Country: clip(l.Country, 128),
		State:   clip(l.State, 128),
		City:    clip(l.City, 128),
		Zip:     clip(l.Zip, 32),
		Lat:     &lat,
		Lon:     &lon,
	}
}

// clip cuts a text to the width of its column.
func clip(s string, runes int) string {
	if r := []rune(s); len(r) > runes {
		return string(r[:runes])
	}
	return s
}

func (r locationRow) location() *node.Location {
	l := node.Location{
		Country: orZero(r.Country), State: orZero(r.State), City: orZero(r.City), Zip: orZero(r.Zip),
		Lat: orZero(r.Lat), Lon: orZero(r.Lon),
	}
	if l == (node.Location{}) {
		return nil
	}
	return &l
}

// orZero returns the value of a column, or the zero value for NULL.
func orZero[T any](column *T) (value T) {
	if column != nil {
		value = *column
	}
	return value
}

// uptimeRow holds the fields of node.Uptime as columns.
type uptimeRow struct {
	UpSince, UpStart, UpEnd, UpBefore int64
}

func uptimeOf(u node.Uptime) uptimeRow {
	return uptimeRow{micros(u.Since), micros(u.Start), micros(u.End), u.Before.Microseconds()}
}

func (r uptimeRow) uptime() node.Uptime {
	return node.Uptime{
		Since:  moment(r.UpSince),
		Start:  moment(r.UpStart),
		End:    moment(r.UpEnd),
		Before: span(r.UpBefore),
	}
}

// openDay is a token's current day, and the token's totals when that day began. The
// day is 0 before the token's first day.
type openDay struct {
	Day, DayHeartbeats, DayWrong, DayOnline int64
}

type contractRow struct {
	ID        int64
	TokenID   int64
	FileID    int64
	FileHash  []byte
	KeyID     int64
	Size      int64
	Period    int64
	Version   int64 `update:"relative"`
	Sequence  int64 `update:"relative"`
	Challenge []byte
	State     []byte
	Due       int64 `update:"relative"`
	Answered  bool
	Accepted  []byte // valid if Answered is true
	Wrong     []byte // digests, concatenated
	Expiry    int64  `update:"relative"`
	Live      bool
	Unproven  bool `update:"flag"` // no proof was accepted since the hand-out or the renewal
	FaultMark int64
	Completed bool // all challenges were issued and answered
}

// silent is true in SQL for a contract whose farmer has sent no proof and got no challenge
// since a fault moved it. The mark that the fault leaves never fits a later state.
const (
	silentMark = "1 + 2 * sequence + answered"
	silent     = "fault_mark = " + silentMark
)

// void reports whether the contract is silent. If such a contract ends, this is not the
// farmer's failure.
func (r *contractRow) void() bool {
	mark := 1 + 2*r.Sequence
	if r.Answered {
		mark++
	}
	return r.FaultMark == mark
}

var contractTable = tableOf[contractRow]("contracts")

// contractOf returns the row of a live contract. The id of the contract's file is
// not set. A contract does not say whether it is unproven. The row is marked as unproven, so
// that an accepted proof clears the column; a wrong one leaves it as it is.
func contractOf(c *node.Contract) contractRow {
	row := contractRow{
		ID: c.ID, TokenID: c.TokenID, FileHash: c.FileHash[:], KeyID: c.KeyID, Size: c.Size, Period: c.Interval.Microseconds(), Live: true,
	}.with(c)
	row.Unproven = true
	return row
}

// with returns a copy of the row with the new state of its contract, c.
//
// Accepted has its full length even if the contract is not answered. If the columns
// of a row keep their lengths, the database updates the row without moving it, at a
// third of the cost.
func (r contractRow) with(c *node.Contract) contractRow {
	// A sequence above 0 proves nothing, because a renewed contract has one. Before the next
	// challenge, the row says that the last one was answered.
	r.Unproven = r.Unproven && !r.Answered && !c.Answered
	r.Version, r.Sequence = c.Version, c.Sequence
	r.Challenge, r.State = c.Challenge, c.State
	r.Due, r.Expiry = micros(c.Due), micros(c.Expiry())
	r.Answered, r.Accepted = c.Answered, c.Accepted[:]
	r.Wrong = make([]byte, 0, len(c.Wrong)*len(node.Digest{})) // empty, not NULL
	for _, d := range c.Wrong {
		r.Wrong = append(r.Wrong, d[:]...)
	}
	return r
}

func (r *contractRow) contract() node.Contract {
	c := node.Contract{
		ID:        r.ID,
		TokenID:   r.TokenID,
		KeyID:     r.KeyID,
		FileHash:  node.FileHash(r.FileHash),
		Size:      r.Size,
		Interval:  span(r.Period),
		Version:   r.Version,
		Sequence:  r.Sequence,
		Challenge: r.Challenge,
		State:     r.State,
		Due:       moment(r.Due),
		Answered:  r.Answered,
	}
	c.Moved = span(r.Expiry - r.Due)
	if r.Answered {
		c.Accepted = node.Digest(r.Accepted)
		c.Moved -= c.Interval
	}
	c.Moved = max(0, c.Moved)
	const size = len(node.Digest{})
	for wrong := r.Wrong; len(wrong) >= size; wrong = wrong[size:] {
		c.Wrong = append(c.Wrong, node.Digest(wrong[:size]))
	}
	return c
}

// dayRow is one completed day of a farmer.
type dayRow struct {
	TokenID, Day      int64
	Online            int64
	Heartbeats, Wrong int64
	Contracts, Size   int64
}

var dayTable = tableOf[dayRow]("farmer_days")

// spanRow holds the changes of the totals within a span of time.
type spanRow struct {
	Step  int
	Start int64
	Shard int
	node.Totals
}

// The values of spanRow.Step.
const (
	stepBefore = 0 // the sum of all rows that are too old for a row per hour
	stepMinute = 1
	stepHour   = 2
)

var spanTable = tableOf[spanRow]("spans")

var spanKey, spanTotals = spanTable.columns[:3], spanTable.columns[3:]
