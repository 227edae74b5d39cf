package store

import (
	"context"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// stamp is the column changed of a row: the moment of its last write, by the
// database's clock, so that no two processes' clocks are compared. As a value
// of a statement it is now, whatever it holds.
//
// Whatever writes a token stamps it, as the last thing before the commit: see
// FarmersSince, which reads by it.
type stamp int64

var _ gorm.Valuer = stamp(0)

// GormValue makes the database say what time it is.
func (stamp) GormValue(_ context.Context, db *gorm.DB) clause.Expr {
	clock := mysqlDialect.clock
	if db.Dialector.Name() == sqliteDialect.name {
		clock = sqliteDialect.clock
	}
	return clause.Expr{SQL: clock}
}

// leave records that tokens are gone, which the transaction goes on to delete,
// and which files their contracts leave behind.
func leave(tx *gorm.DB, ids []int64) error {
	err := tx.Exec("INSERT INTO departures (farmer_id, changed) SELECT farmer_id, ? FROM tokens WHERE id IN ?",
		stamp(0), ids).Error
	if err != nil {
		return err
	}
	return tx.Exec("INSERT INTO orphans (file_id) SELECT file_id FROM contracts WHERE token_id IN ?", ids).Error
}

// forgetDepartures deletes what no mark that is good goes back to.
func (s *Store) forgetDepartures(ctx context.Context) error {
	return s.write.WithContext(ctx).Exec("DELETE FROM departures WHERE changed < "+s.dialect.clock+" - ?",
		departuresKept.Microseconds()).Error
}
