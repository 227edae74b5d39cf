package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// Mark is a moment of the database's clock, up to which its farmers were read.
// The zero value is before all of them.
type Mark int64

func (m Mark) before(d time.Duration) Mark { return max(0, m-Mark(d.Microseconds())) }

// FarmerRecord is a farmer as its token has it: Contracts and Size count what
// has expired and the sweeper has not taken off yet, and Expired does not.
type FarmerRecord struct {
	node.Farmer
	TokenID        int64
	Wrong, Expired int64
}

// Overdue is what expired of a farmer's contracts and is still on its counts.
type Overdue struct {
	Contracts, Size int64
}

// FarmerNews is what became of the farmers: one state of the database.
type FarmerNews struct {
	Mark    Mark
	Whole   bool              // whether Changed is all the farmers there are
	Changed []*FarmerRecord   // since the mark before, in no order
	Gone    []string          // ids of those deleted since
	Overdue map[int64]Overdue // by token id, of all that have any
}

const (
	// lateCommit is how long a commit may take to be seen. A token is stamped
	// when it is written, which is the last thing before the commit, and so
	// one that was stamped before a mark may become visible after it.
	lateCommit = 2 * time.Second
	// lateDeparture is the same for tokens that are deleted with many others.
	lateDeparture = time.Minute
	// markGood is for how long departures can be followed from a mark on. The
	// sweeper keeps them for longer.
	markGood       = 30 * time.Minute
	departuresKept = time.Hour
)

// FarmersSince reads what has changed since a mark, as of now; some of it may
// have been read before. A mark that is too old is as good as none. A change
// whose commit took longer than lateCommit is missed: whoever keeps the
// farmers reads all of them now and then.
func (s *Store) FarmersSince(ctx context.Context, since Mark, now time.Time) (news FarmerNews, err error) {
	defer wrap(&err, "read farmers")
	err = s.look(ctx, func(tx look) (err error) {
		news = FarmerNews{Overdue: map[int64]Overdue{}}
		err = tx.each("SELECT "+s.dialect.clock, nil, func(row *sql.Rows) error { return row.Scan(&news.Mark) })
		if err != nil {
			return err
		}
		if news.Whole = since <= news.Mark.before(markGood); news.Whole {
			since = 0
		}
		if err := news.readChanged(tx, since.before(lateCommit)); err != nil {
			return err
		}
		if !news.Whole {
			if err := news.readGone(tx, since.before(lateDeparture)); err != nil {
				return err
			}
		}
		return news.readOverdue(tx, now)
	})
	return news, err
}

func (n *FarmerNews) readChanged(tx look, since Mark) error {
	return tx.each("SELECT t.id, t.farmer_id, a.address, t.country, t.state, t.city, t.zip, t.lat, t.lon, t.ip,"+
		" t.heartbeats, t.wrong, t.expired, t.contracts, t.size, t.up_since, t.up_start, t.up_end, t.up_before, t.last_due"+
		" FROM tokens t JOIN addresses a ON a.id = t.address_id WHERE t.changed >= ?", []any{since}, func(row *sql.Rows) error {
		var (
			f       FarmerRecord
			l       locationRow
			u       uptimeRow
			lastDue int64
		)
		err := row.Scan(&f.TokenID, &f.ID, &f.Address, &l.Country, &l.State, &l.City, &l.Zip, &l.Lat, &l.Lon, &f.IP,
			&f.Heartbeats, &f.Wrong, &f.Expired, &f.Contracts, &f.Size, &u.UpSince, &u.UpStart, &u.UpEnd, &u.UpBefore, &lastDue)
		f.Location, f.Uptime, f.LastDue = l.location(), u.uptime(), moment(lastDue)
		n.Changed = append(n.Changed, &f)
		return err
	})
}

func (n *FarmerNews) readGone(tx look, since Mark) error {
	return tx.each("SELECT farmer_id FROM departures WHERE changed >= ?", []any{since}, func(row *sql.Rows) error {
		var id string
		err := row.Scan(&id)
		n.Gone = append(n.Gone, id)
		return err
	})
}

// readOverdue reads what is over and not swept. The sweeper is never far
// behind, so that it is little, and all of it stands in an index.
func (n *FarmerNews) readOverdue(tx look, now time.Time) error {
	return tx.each("SELECT token_id, size FROM contracts WHERE live = 1 AND expiry <= ?", []any{micros(now)}, func(row *sql.Rows) error {
		var token, size int64
		err := row.Scan(&token, &size)
		over := n.Overdue[token]
		n.Overdue[token] = Overdue{over.Contracts + 1, over.Size + size}
		return err
	})
}

// look is a transaction that reads, all of it one state of the database.
type look struct {
	ctx context.Context
	tx  *sql.Tx
}

// look runs fn. It goes around gorm: what it reads is a hundred thousand rows.
func (s *Store) look(ctx context.Context, fn func(look) error) error {
	pool, err := s.read.DB()
	if err != nil {
		return err
	}
	tx, err := pool.BeginTx(ctx, s.dialect.oneState)
	if err != nil {
		return err
	}
	defer tx.Rollback() // it wrote nothing
	return fn(look{ctx, tx})
}

// each calls scan for each row that the query finds.
func (l look) each(query string, args []any, scan func(*sql.Rows) error) error {
	rows, err := l.tx.QueryContext(l.ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
