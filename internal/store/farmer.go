package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// farmerColumns describe a farmer. The farmer's SJCX address is in another table.
var farmerColumns = tokenTable.only(
	"id", "farmer_id", "country", "state", "city", "zip", "lat", "lon", "ip", "heartbeats", "wrong", "expired",
	"contracts", "size", "up_since", "up_start", "up_end", "up_before", "last_due", "created",
	"evidence", "proven_since", "last_heartbeat", "suspended", "suspended_by", "suspended_reason",
)

func (t *tokenRow) farmer(address string) node.Farmer {
	evidence := node.Evidence{}
	_ = evidence.UnmarshalBinary(t.Evidence) // that of a later version counts as none
	return node.Farmer{
		Evidence: evidence, ProvenSince: moment(t.ProvenSince), LastHeartbeat: moment(t.LastHeartbeat),
		Suspension: node.Suspension{Since: moment(t.Suspended), By: node.Suspender(t.SuspendedBy), Reason: t.SuspendedReason},
		ID:         t.FarmerID,
		Address:    address,
		Location:   t.location(),
		Uptime:     t.uptime(),
		Heartbeats: t.Heartbeats,
		Contracts:  t.Contracts,
		Size:       t.Size,
		IP:         shownIP(t.IP),
		Created:    moment(t.Created),
		LastDue:    moment(t.LastDue),
	}
}

// overdueOf selects a token's contracts that have expired but are not swept yet.
// These contracts are few and have an index. Counting the live contracts instead
// would read many rows.
const overdueOf = "FROM contracts c WHERE c.token_id = t.id AND c.live = 1 AND c.expiry <= ?"

// Farmer finds a farmer by its id and returns its state at now. It returns
// ErrNotFound if the farmer does not exist.
func (s *Store) Farmer(ctx context.Context, id string, now time.Time) (f node.Farmer, err error) {
	defer wrap(&err, "find farmer %s", id)
	var row tokenRow
	var address string
	var over Overdue
	err = s.reader(ctx).query(func(rows *sql.Rows) error {
		err := rows.Scan(append(farmerColumns.addresses(&row), &address, &over.Contracts, &over.Size)...)
		f = row.farmer(address)
		f.Contracts -= over.Contracts
		f.Size -= over.Size
		return err
	}, "SELECT "+farmerColumns.list("t.")+", a.address, (SELECT COUNT(*) "+overdueOf+"), (SELECT COALESCE(SUM(c.size), 0) "+overdueOf+")"+
		" FROM tokens t JOIN addresses a ON a.id = t.address_id WHERE t.farmer_id = ?", micros(now), micros(now), id)
	if err == nil && f.ID == "" {
		err = ErrNotFound
	}
	return f, err
}

// NextDue returns when the next proof of a farmer is due after at, or zero if the farmer has no contract.
func (s *Store) NextDue(ctx context.Context, id string, at time.Time) (due time.Time, err error) {
	defer wrap(&err, "find the next due time of farmer %s", id)
	next, err := s.reader(ctx).number("SELECT COALESCE(MIN(c.expiry), 0) FROM contracts c JOIN tokens t ON t.id = c.token_id"+
		" WHERE t.farmer_id = ? AND c.live = 1 AND c.expiry > ?", id, micros(at))
	return moment(next), err
}

// Mark is a time of the database's clock, in microseconds since the Unix epoch.
// The zero value is before all changes.
type Mark int64

func (m Mark) before(d time.Duration) Mark { return max(0, m-Mark(d.Microseconds())) }

// FarmerRecord is a farmer with the counts of its token. Contracts and Size include
// expired contracts that the sweeper has not removed yet. Expired does not include
// them.
type FarmerRecord struct {
	node.Farmer
	TokenID        int64
	Wrong, Expired int64
}

// Overdue counts a farmer's contracts that have expired but are still in the
// token's counts.
type Overdue struct {
	Contracts, Size int64
}

// FarmerNews is the changes of the farmers, read from one state of the database.
type FarmerNews struct {
	Mark    Mark              // the time of this state
	Time    time.Time         // the time at which the counts are exact: now, or earlier if a replica is behind
	Whole   bool              // whether Changed contains all farmers
	Changed []*FarmerRecord   // in no particular order
	Gone    []string          // ids of deleted farmers
	Overdue map[int64]Overdue // by token id
}

const (
	// lateCommit is the maximum time between the time stamp of a change and its
	// commit. A token gets its time stamp when it is written, shortly before the
	// commit.
	lateCommit = 2 * time.Second
	// lateDeparture is the same maximum for transactions that delete many tokens.
	lateDeparture = time.Minute
	// markGood is how long after a mark FarmersSince can continue from that mark.
	// The sweeper keeps departures for longer than this.
	markGood       = 30 * time.Minute
	departuresKept = time.Hour
)

// FarmersSince reads the changes between a mark and now. It may report a change
// twice. If the mark is too old, it reads all farmers. It misses a change whose
// commit took longer than lateCommit, so the caller must regularly pass 0 to read
// all farmers. A replica must apply the transactions in the order of their commits.
func (s *Store) FarmersSince(ctx context.Context, since Mark, now time.Time) (news FarmerNews, err error) {
	defer wrap(&err, "read farmers")
	err = s.view(ctx, func(pool *sql.DB, behind bool) error {
		return s.snapshot(ctx, pool, func(t *tx) (err error) {
			news, err = s.farmersSince(t, since, now, behind)
			return err
		})
	})
	return news, err
}

func (s *Store) farmersSince(t *tx, since Mark, now time.Time, behind bool) (news FarmerNews, err error) {
	clock := "SELECT " + s.dialect.clock
	if behind {
		clock = latestRow // the replica's clock says nothing about the state that it has
	}
	mark, err := t.number(clock)
	if err != nil {
		return news, err
	}
	news = FarmerNews{Mark: Mark(mark), Time: now, Overdue: map[int64]Overdue{}}
	if behind {
		news.Time = earlier(now, moment(mark)) // a contract that looks overdue now may have got a later deadline
	}
	if news.Whole = since <= news.Mark.before(markGood); news.Whole {
		since = 0
	}
	if err := news.readChanged(t, since.before(lateCommit)); err != nil {
		return news, err
	}
	if !news.Whole {
		news.Gone, err = appendRows(nil, t, addressOf[string],
			"SELECT farmer_id FROM departures WHERE changed >= ?", since.before(lateDeparture))
		if err != nil {
			return news, err
		}
	}
	return news, news.readOverdue(t, news.Time)
}

func (n *FarmerNews) readChanged(t *tx, since Mark) error {
	var row tokenRow
	var address string
	into := append(farmerColumns.addresses(&row), &address)
	return t.query(func(rows *sql.Rows) error {
		err := rows.Scan(into...)
		n.Changed = append(n.Changed, &FarmerRecord{
			Farmer: row.farmer(address), TokenID: row.ID, Wrong: row.Wrong, Expired: row.Expired,
		})
		return err
	}, "SELECT "+farmerColumns.list("t.")+", a.address FROM tokens t JOIN addresses a ON a.id = t.address_id WHERE t.changed >= ?", since)
}

// readOverdue reads contracts that have expired but are not swept yet. These
// contracts are few, and one index contains all columns that the query needs.
func (n *FarmerNews) readOverdue(t *tx, now time.Time) error {
	var token, size int64
	return t.query(func(rows *sql.Rows) error {
		err := rows.Scan(&token, &size)
		over := n.Overdue[token]
		n.Overdue[token] = Overdue{over.Contracts + 1, over.Size + size}
		return err
	}, "SELECT token_id, size FROM contracts WHERE live = 1 AND expiry <= ?", micros(now))
}
