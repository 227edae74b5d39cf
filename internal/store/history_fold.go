package store

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/driveshare/downstream-node/internal/node"
)

// Keep says how long the record is kept, and at which step.
type Keep struct {
	Minutes time.Duration // by the minute
	Hours   time.Duration // by the hour
	Days    time.Duration // each farmer's days
}

// settled is after how long a minute's shards are gathered: hardly anybody
// adds to it any more.
const settled = 5 * time.Minute

// foldRows is how many rows of the record one transaction moves.
const foldRows = 500

// FoldRecord moves what is old to the next coarser step, and deletes the
// farmers' days that are too old. Rows are moved by adding them to others, so
// that every sum stays what it was, and what comes late for a span finds its
// place. Several that fold at once do no harm, nor does one that dies at it.
func (s *Store) FoldRecord(ctx context.Context, now time.Time, keep Keep) (err error) {
	defer wrap(&err, "fold the record")
	minutes := now.Add(-keep.Minutes).Truncate(time.Hour) // whole hours
	for _, f := range []fold{
		{from: stepMinute, shard: 1, before: now.Add(-settled), to: stepMinute, width: time.Minute},
		{from: stepMinute, before: minutes, to: stepHour, width: time.Hour},
		{from: stepHour, before: now.Add(-keep.Hours), to: stepBefore},
	} {
		for n := foldRows; n == foldRows; {
			err := s.transaction(ctx, func(tx *gorm.DB) (err error) {
				n, err = s.fold(tx, f)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	const farmers = 1000
	for n := int64(farmers); n == farmers; {
		if n, err = s.pruneDays(ctx, dayOf(now.Add(-keep.Days)), farmers); err != nil {
			return err
		}
	}
	return nil
}

// fold is a move of rows of a step, from a shard on, that start before a time,
// to another step. No width means one row for all.
type fold struct {
	from, shard int
	before      time.Time
	to          int
	width       time.Duration
}

func (s *Store) fold(tx *gorm.DB, f fold) (int, error) {
	var rows []spanRow
	err := tx.Raw("SELECT step, start, shard, "+spanColumns+" FROM spans WHERE step = ? AND start < ? AND shard >= ?"+
		" ORDER BY start, shard LIMIT ?"+s.dialect.forUpdate, f.from, micros(f.before), f.shard, foldRows).Scan(&rows).Error
	if err != nil {
		return 0, err
	}
	sums := map[int64]node.Totals{}
	for _, r := range rows {
		var start int64
		if f.width > 0 {
			start = r.Start - r.Start%f.width.Microseconds()
		}
		sums[start] = sums[start].Plus(r.Counts)
		// One by one: the rows that were read, and none that came since.
		err := tx.Exec("DELETE FROM spans WHERE step = ? AND start = ? AND shard = ?", r.Step, r.Start, r.Shard).Error
		if err != nil {
			return 0, err
		}
	}
	var folded []spanRow
	for start, c := range sums {
		folded = append(folded, spanRow{f.to, start, 0, c})
	}
	return len(rows), s.addSpans(tx, folded)
}

// BalanceRecord holds the record's sums of farmers, contracts and bytes
// against the tokens, and corrects the record, at now, where they differ. That
// is so when the record begins on a node that has farmers already, or where
// somebody who knows nothing of it changed them: a version before it, or a
// hand. It says whether that was needed.
//
// What was counted too much or too little within spans stays.
func (s *Store) BalanceRecord(ctx context.Context, now time.Time) (corrected bool, err error) {
	defer wrap(&err, "balance the record")
	err = s.transaction(ctx, func(tx *gorm.DB) error {
		// Who holds it is alone in correcting.
		if err := s.lockSetting(tx, recordLock); err != nil {
			return err
		}
		var missing node.Totals
		// One statement, and so one moment, in which no transaction is half seen.
		err := tx.Raw("SELECT t.farmers - r.farmers AS farmers, t.online - r.online AS online," +
			" t.contracts - r.contracts AS contracts, t.size - r.size AS size FROM" +
			" (SELECT COUNT(*) AS farmers, COALESCE(SUM(CASE WHEN contracts > 0 THEN 1 ELSE 0 END), 0) AS online," +
			" COALESCE(SUM(contracts), 0) AS contracts, COALESCE(SUM(size), 0) AS size FROM tokens) t," +
			" (SELECT COALESCE(SUM(farmers), 0) AS farmers, COALESCE(SUM(online), 0) AS online," +
			" COALESCE(SUM(contracts), 0) AS contracts, COALESCE(SUM(size), 0) AS size FROM spans) r").Scan(&missing).Error
		if err != nil {
			return err
		}
		corrected = missing != (node.Totals{})
		return s.record(tx, []event{{now, missing}})
	})
	return corrected && err == nil, err
}
