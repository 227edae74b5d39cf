package store

import (
	"context"
	"database/sql"
	"math"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

const (
	// lossesKept is how long a lost copy is recorded.
	lossesKept = 7 * 24 * time.Hour
	// day is the time that the statistics of losses and repairs are about.
	day = 24 * time.Hour
	// maxLook is the longest time between two looks at the copies in which they count as live.
	// After a longer pause, the record may also lack losses.
	maxLook = 15 * time.Minute
)

// CopyHour is what the last look at the copies in an hour has found.
// migrations/mysql/00014_repairs.sql explains it.
type CopyHour struct {
	Start, At                  time.Time
	Files, BelowTarget, Copies int64
	Lost, Repaired             int64 // in the 24 hours before At
}

// copyHourRow is a CopyHour with its columns.
type copyHourRow struct {
	Start, At                  int64
	Files, BelowTarget, Copies int64
	CopySeconds                int64
	Lost, Repaired             int64
}

var copyHourTable = tableOf[copyHourRow]("copy_hours")

func (r copyHourRow) hour() CopyHour {
	return CopyHour{moment(r.Start), moment(r.At), r.Files, r.BelowTarget, r.Copies, r.Lost, r.Repaired}
}

// recordLosses adds a row for each of these files that is a copy. The caller must hold the
// locks of their rows in contents, as for undoLosses and recordRepairs.
func recordLosses(t *tx, fileIDs []int64, at time.Time) error {
	return t.exec("INSERT INTO losses (file_id, content_id, lost, restored) SELECT id, content_id, ?, 0 FROM files WHERE id IN "+
		idList(fileIDs)+" AND content_id > 0", micros(at))
}

// undoLosses deletes the rows of copies that are live again.
func undoLosses(t *tx, fileIDs, contents []int64) error {
	return t.exec("DELETE FROM losses WHERE content_id IN " + idList(contents) + " AND file_id IN " + idList(fileIDs))
}

// recordRepairs notes that each of these files has got another copy. The copy replaces
// the one that was lost first, if one was lost. The ids do not tell which one that is: the
// servers of a cluster give out ids independently, and a loss can be recorded late.
func recordRepairs(t *tx, contents []int64, now time.Time) error {
	if len(contents) == 0 {
		return nil
	}
	open, err := t.numbers("SELECT l.id FROM losses l WHERE l.content_id IN " + idList(contents) + " AND l.restored = 0" +
		" AND NOT EXISTS (SELECT 1 FROM losses o WHERE o.content_id = l.content_id AND o.restored = 0" +
		" AND (o.lost < l.lost OR o.lost = l.lost AND o.id < l.id))")
	if err != nil || len(open) == 0 {
		return err
	}
	return t.exec("UPDATE losses SET restored = ? WHERE id IN "+idList(open), micros(now))
}

// pruneLosses deletes up to limit losses from before the given time.
func (s *Store) pruneLosses(ctx context.Context, before time.Time, limit int) (n int64, err error) {
	ids, err := s.reader(ctx).numbers("SELECT id FROM losses WHERE lost < ? ORDER BY lost LIMIT ?", micros(before), limit)
	if err != nil {
		return 0, err
	}
	return inBatches(ctx, s, ids, func(t *tx, batch []int64) error {
		return t.exec("DELETE FROM losses WHERE id IN " + idList(batch))
	})
}

// Repairs returns what was seen of the copies in the last 24 hours.
//
// The cost depends on the losses of one day, and the memory on nothing: the database
// sorts the times. With 100,000 repairs in 24 hours it takes 0.15 s on MariaDB and 0.3 s on SQLite.
func (s *Store) Repairs(ctx context.Context, now time.Time) (r node.Repairs, err error) {
	defer wrap(&err, "read the repairs of copies")
	return viewed(ctx, s, func(t *tx) (node.Repairs, error) { return repairs(t, micros(now.Add(-day))) })
}

func repairs(t *tx, since int64) (r node.Repairs, err error) {
	if r.Losses, r.Repairs, err = countRepairs(t, since); err != nil {
		return r, err
	}
	seconds, err := t.number("SELECT COALESCE(SUM(copy_seconds), 0) FROM copy_hours WHERE start > ?", since)
	if err != nil {
		return r, err
	}
	r.CopyDays = float64(seconds) / day.Seconds()
	if r.Repairs == 0 {
		return r, nil
	}
	sum, err := t.number("SELECT COALESCE(SUM(restored - lost), 0) FROM losses WHERE restored > ?", since)
	if err != nil {
		return r, err
	}
	r.Mean = span(sum / r.Repairs)
	for _, of := range []struct {
		share float64
		time  *time.Duration
	}{{0.5, &r.Median}, {0.99, &r.P99}} {
		rank := int64(math.Ceil(of.share * float64(r.Repairs))) // from 1
		found, err := t.numbers("SELECT restored - lost AS took FROM losses WHERE restored > ? ORDER BY took LIMIT 1 OFFSET ?", since, rank-1)
		if err != nil {
			return r, err
		}
		if len(found) > 0 { // else a late verdict has undone a loss since the count
			*of.time = span(found[0])
		}
	}
	return r, nil
}

// countRepairs counts the copies that were lost, and the lost ones that were replaced,
// after a time.
func countRepairs(t *tx, since int64) (losses, repairs int64, err error) {
	err = t.query(func(rows *sql.Rows) error { return rows.Scan(&losses, &repairs) },
		"SELECT (SELECT COUNT(*) FROM losses WHERE lost > ?), (SELECT COUNT(*) FROM losses WHERE restored > ?)", since, since)
	return losses, repairs, err
}

// RecordCopies looks at the copies, and records the result in the row of the hour. One
// process at a time must call it. It costs as much as CopyCounts.
func (s *Store) RecordCopies(ctx context.Context, target int64, now time.Time) (err error) {
	defer wrap(&err, "record the copies of files")
	counts, err := s.copyCounts(s.reader(ctx))
	if err != nil {
		return err
	}
	row := copyHourRow{Start: micros(now.Truncate(time.Hour)), At: micros(now)}
	for _, c := range counts {
		row.Files += c.Files
		if c.Copies < target {
			row.BelowTarget += c.Files
		}
	}
	t := s.reader(ctx)
	if row.Copies, err = t.number("SELECT COALESCE(SUM(live), 0) FROM contents WHERE live > 0"); err != nil {
		return err
	}
	if row.Lost, row.Repaired, err = countRepairs(t, micros(now.Add(-day))); err != nil {
		return err
	}
	return s.transaction(ctx, func(t *tx) error {
		found, err := selectRows(t, copyHourTable.columns, "FROM copy_hours ORDER BY start DESC LIMIT 1")
		if err != nil {
			return err
		}
		next := row // the transaction may be repeated
		for _, last := range found {
			passed := min(max(0, span(next.At-last.At)), maxLook)
			next.CopySeconds = int64(float64(last.Copies) * passed.Seconds())
			if last.Start == next.Start {
				next.CopySeconds += last.CopySeconds
			}
		}
		if err := t.exec("DELETE FROM copy_hours WHERE start = ?", next.Start); err != nil {
			return err
		}
		return insert(t, copyHourTable, []copyHourRow{next}, "")
	})
}

// CopyHours lists the hours from one time on, the oldest first.
func (s *Store) CopyHours(ctx context.Context, from time.Time) (hours []CopyHour, err error) {
	defer wrap(&err, "read the record of copies")
	rows, err := selectRows(s.reader(ctx), copyHourTable.columns, "FROM copy_hours WHERE start >= ? ORDER BY start", micros(from))
	for _, row := range rows {
		hours = append(hours, row.hour())
	}
	return hours, err
}
