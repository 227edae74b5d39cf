package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/driveshare/downstream-node/internal/node"
)

// FarmerQuery is which farmers to list, and in what order.
type FarmerQuery struct {
	Online bool   // those alone that are
	Sort   string // a key of FarmerSorts; "" means id
	Desc   bool
	Limit  int // farmers a page; 0 means all
	Page   int // from 0
}

// ErrUnknownSort is wrapped by Farmers for a Sort that is not one of
// FarmerSorts.
var ErrUnknownSort = errors.New("unknown sort")

// farmerSorts are the expressions to order by. @now is the moment asked for.
var farmerSorts = map[string]string{
	"id":         "t.farmer_id",
	"address":    "a.address",
	"uptime":     uptimeSQL,
	"heartbeats": "t.heartbeats",
	"contracts":  "t.contracts - COALESCE(x.contracts, 0)",
	"size":       "t.size - COALESCE(x.size, 0)",
	"online":     "CASE WHEN t.up_end > @now THEN 1 ELSE 0 END",
}

// uptimeSQL is node.Uptime.Percent, as a share of 1.
const uptimeSQL = "CASE WHEN t.up_since = 0 THEN 0e0 WHEN t.up_since >= @now THEN 1e0" +
	" ELSE 1e0 * (t.up_before + (CASE WHEN t.up_end > @now THEN @now ELSE t.up_end END) - t.up_start) / (@now - t.up_since) END"

// farmersFrom is the tokens beside what has expired of theirs since the sweeper
// was there, which is little and has an index, so that every count is exact.
const farmersFrom = "SELECT t.*, a.address, COALESCE(x.contracts, 0) AS over_contracts, COALESCE(x.size, 0) AS over_size" +
	" FROM tokens t JOIN addresses a ON a.id = t.address_id LEFT JOIN (" +
	"SELECT token_id, COUNT(*) AS contracts, SUM(size) AS size FROM contracts WHERE live = 1 AND expiry <= @now GROUP BY token_id" +
	") x ON x.token_id = t.id"

type farmerRow struct {
	Token         tokenRow `gorm:"embedded"`
	Address       string
	OverContracts int64
	OverSize      int64
}

// Farmers calls yield for each farmer that the query asks for, as it is at
// now, until yield returns an error. Farmers that compare equal are in the
// order of their ids. Rows are read as they are yielded, however many they
// are, and a connection is held until then.
func (s *Store) Farmers(ctx context.Context, q FarmerQuery, now time.Time, yield func(node.Farmer) error) (err error) {
	defer wrap(&err, "list farmers")
	db := s.read.WithContext(ctx)
	query, args, err := farmersSQL(q, now)
	if err != nil {
		return err
	}
	rows, err := db.Raw(query, args...).Rows()
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var row farmerRow
		if err := db.ScanRows(rows, &row); err != nil {
			return err
		}
		if err := yield(row.farmer()); err != nil {
			return err
		}
	}
	return rows.Err()
}

// farmersSQL is the statement for the query, and its values.
func farmersSQL(q FarmerQuery, now time.Time) (query string, args []any, err error) {
	if q.Sort == "" {
		q.Sort = "id"
	}
	order, ok := farmerSorts[q.Sort]
	if !ok {
		return "", nil, fmt.Errorf("%w %q", ErrUnknownSort, q.Sort)
	}
	direction := ""
	if q.Desc {
		direction = " DESC"
	}
	query = farmersFrom
	if q.Online {
		query += " WHERE t.up_end > @now"
	}
	query += " ORDER BY " + order + direction + ", t.farmer_id"
	args = append(args, sql.Named("now", micros(now)))
	if q.Limit > 0 {
		query += fmt.Sprintf(" LIMIT %d OFFSET %d", q.Limit, q.Limit*q.Page)
	}
	return query, args, nil
}

// Farmer finds one farmer by its id, as it is at now, or fails with
// ErrNotFound. Its contracts are counted one by one.
func (s *Store) Farmer(ctx context.Context, id string, now time.Time) (f node.Farmer, err error) {
	defer wrap(&err, "find farmer %s", id)
	db := s.read.WithContext(ctx)
	var row farmerRow
	err = db.Table("tokens").Select("tokens.*, addresses.address").
		Joins("JOIN addresses ON addresses.id = tokens.address_id").
		Where("tokens.farmer_id = ?", id).Take(&row).Error
	if err != nil {
		return node.Farmer{}, err
	}
	f = row.farmer()
	f.Contracts, f.Size, err = liveContracts(db, row.Token.ID, now)
	return f, err
}

func liveContracts(tx *gorm.DB, tokenID int64, now time.Time) (n, size int64, err error) {
	var sum struct{ N, Size int64 }
	err = tx.Raw("SELECT COUNT(*) AS n, COALESCE(SUM(size), 0) AS size FROM contracts"+
		" WHERE token_id = ? AND live = 1 AND expiry > ?", tokenID, micros(now)).Scan(&sum).Error
	return sum.N, sum.Size, err
}

func (r *farmerRow) farmer() node.Farmer {
	return node.Farmer{
		ID:         r.Token.FarmerID,
		Address:    r.Address,
		Location:   r.Token.Location.location(),
		Uptime:     r.Token.Uptime.uptime(),
		Heartbeats: r.Token.Heartbeats,
		Contracts:  r.Token.Contracts - r.OverContracts,
		Size:       r.Token.Size - r.OverSize,
		IP:         r.Token.IP,
		LastDue:    moment(r.Token.LastDue),
	}
}
