package store

import (
	"cmp"
	"context"
	"database/sql"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// shards is the maximum number of transactions that can add to the same minute
// without waiting for each other.
const shards = 16

// record adds events to the rows of their minutes. The caller must run record in
// the transaction that commits the events, so that every committed event is
// recorded once. The caller must run it last, because other transactions may wait
// for the same rows.
func (s *Store) record(t *tx, events []event) error {
	minutes := map[int64]node.Totals{}
	for _, e := range events {
		start := micros(e.at.Truncate(time.Minute))
		minutes[start] = minutes[start].Plus(e.Totals)
	}
	shard := 1 + rand.N(shards)
	var rows []spanRow
	for start, totals := range minutes {
		if totals != (node.Totals{}) {
			rows = append(rows, spanRow{stepMinute, start, shard, totals})
		}
	}
	return s.addSpans(t, rows)
}

// addSpans inserts the rows, or adds them to rows with the same key.
func (s *Store) addSpans(t *tx, rows []spanRow) error {
	slices.SortFunc(rows, func(a, b spanRow) int { return cmp.Compare(a.Start, b.Start) })
	return insert(t, spanTable, rows, s.dialect.orAdd(spanKey.names(), spanTotals.names()))
}

// spanSum is the sum of the record's rows of one step within one span. start is 0
// for the sum of all rows before the first requested span.
type spanSum struct {
	spanRow
	oldest, newest int64 // earliest and latest start of the rows
}

// History lists the spans from the one that contains from to the one that contains
// to. step is a minute, an hour or 24 hours; spans begin at whole steps in UTC. The
// list includes spans without events. It does not include spans before the record
// starts, or spans that are too old to be kept at this step.
//
// An event is recorded when it is committed: a heartbeat within seconds, an expiry
// at the next sweep.
func (s *Store) History(ctx context.Context, from, to time.Time, step time.Duration) (spans []node.Span, err error) {
	defer wrap(&err, "read history")
	from, to = from.UTC().Truncate(step), to.UTC().Truncate(step).Add(step)
	sums, err := s.sumSpans(ctx, from, to, step)
	if err != nil || len(sums) == 0 {
		return nil, err
	}
	from = later(from, began(sums, step))
	var level node.Totals
	within := map[int64]node.Totals{}
	for _, sum := range sums {
		if sum.Start < micros(from) {
			level = level.Plus(sum.Totals)
		} else {
			within[sum.Start] = within[sum.Start].Plus(sum.Totals)
		}
	}
	for at := from; at.Before(to); at = at.Add(step) {
		totals := within[micros(at)]
		level = level.Plus(totals)
		totals.Farmers, totals.Online, totals.Contracts, totals.Size = level.Farmers, level.Online, level.Contracts, level.Size
		spans = append(spans, node.Span{Start: at, Totals: totals})
	}
	return spans, nil
}

// sumSpans uses one statement, because one statement sees one state: at the same
// time rows may move to coarser steps. Most rows are before from, and an index
// groups them.
func (s *Store) sumSpans(ctx context.Context, from, to time.Time, step time.Duration) ([]spanSum, error) {
	aggregates := ", MIN(start), MAX(start), SUM(" + strings.Join(spanTotals.names(), "), SUM(") + ") FROM spans"
	addresses := func(sum *spanSum) []any {
		return append([]any{&sum.Step, &sum.Start, &sum.oldest, &sum.newest}, spanTotals.addresses(&sum.spanRow)...)
	}
	return viewed(ctx, s, func(t *tx) ([]spanSum, error) {
		return appendRows(nil, t, addresses, "SELECT step, 0 AS at"+aggregates+" WHERE start < ? GROUP BY step UNION ALL"+
			" SELECT step, start - start % ? AS at"+aggregates+" WHERE start >= ? AND start < ? GROUP BY step, at",
			micros(from), step.Microseconds(), micros(from), micros(to))
	})
}

// began returns the start of the first span that the record still contains at this
// step.
func began(sums []spanSum, step time.Duration) time.Time {
	var oldest, folded time.Time
	for _, sum := range sums {
		switch {
		case sum.Step == stepBefore:
		case sum.Step == stepHour && step < time.Hour:
			folded = later(folded, moment(sum.newest).Add(time.Hour))
		case oldest.IsZero() || moment(sum.oldest).Before(oldest):
			oldest = moment(sum.oldest)
		}
	}
	if !folded.IsZero() {
		return folded
	}
	return oldest.Truncate(step)
}

const (
	// settled is the age at which the shards of a minute are joined. Few
	// transactions still add to a minute of this age.
	settled = 5 * time.Minute
	// foldRows is the number of rows of the record that one transaction moves.
	foldRows = 500
)

// FoldRecord moves old rows to the next coarser step, and deletes old days of
// farmers and old hours of the copies. It moves a row by adding it to another row, so every sum stays the same,
// and a late event is added to its own span. Several processes may run it at the
// same time, and it may be interrupted.
func (s *Store) FoldRecord(ctx context.Context, now time.Time, keep RecordConfig) (err error) {
	defer wrap(&err, "fold the record")
	minutes := now.Add(-keep.Minutes).Truncate(time.Hour) // whole hours
	for _, f := range []fold{
		{from: stepMinute, shard: 1, before: now.Add(-settled), to: stepMinute, width: time.Minute},
		{from: stepMinute, before: minutes, to: stepHour, width: time.Hour},
		{from: stepHour, before: now.Add(-keep.Hours), to: stepBefore},
	} {
		for n := foldRows; n == foldRows; {
			if n, err = transact(ctx, s, func(t *tx) (int, error) { return s.fold(t, f) }); err != nil {
				return err
			}
		}
	}
	if err := s.write.WithContext(ctx).Exec("DELETE FROM copy_hours WHERE start < ?", micros(now.Add(-keep.Hours))).Error; err != nil {
		return err
	}
	const farmers = 1000
	for n := int64(farmers); n == farmers; {
		if n, err = s.pruneDays(ctx, dayOf(now.Add(-keep.FarmerDays)), farmers); err != nil {
			return err
		}
	}
	return nil
}

// fold moves rows of one step to another step: the rows that start before a time
// and whose shard is at least a minimum. Width 0 moves all rows to one row.
type fold struct {
	from, shard int
	before      time.Time
	to          int
	width       time.Duration
}

func (s *Store) fold(t *tx, f fold) (int, error) {
	rows, err := selectRows(t, spanTable.columns, "FROM spans WHERE step = ? AND start < ? AND shard >= ?"+
		" ORDER BY start, shard LIMIT ?"+s.dialect.forUpdate, f.from, micros(f.before), f.shard, foldRows)
	if err != nil {
		return 0, err
	}
	sums := map[int64]node.Totals{}
	for _, r := range rows {
		var start int64
		if f.width > 0 {
			start = r.Start - r.Start%f.width.Microseconds()
		}
		sums[start] = sums[start].Plus(r.Totals)
		// Delete the rows one by one: a range would also delete rows that were
		// inserted after the read.
		err := t.exec("DELETE FROM spans WHERE step = ? AND start = ? AND shard = ?", r.Step, r.Start, r.Shard)
		if err != nil {
			return 0, err
		}
	}
	var folded []spanRow
	for start, totals := range sums {
		folded = append(folded, spanRow{f.to, start, 0, totals})
	}
	return len(rows), s.addSpans(t, folded)
}

// BalanceRecord compares the record's sums of farmers, contracts and bytes with the
// tokens. If they differ, it corrects the record at now and returns true. They
// differ if the record starts on a node that already has farmers, or if an older
// version or a person has changed tokens.
//
// It does not correct the counts of events, such as heartbeats.
func (s *Store) BalanceRecord(ctx context.Context, now time.Time) (corrected bool, err error) {
	defer wrap(&err, "balance the record")
	return transact(ctx, s, func(t *tx) (bool, error) {
		// Only one process corrects at a time.
		if err := s.lock(t, recordLock); err != nil {
			return false, err
		}
		var missing node.Totals
		// Use one statement, so that it does not see a part of a transaction.
		err := t.query(func(rows *sql.Rows) error {
			return rows.Scan(&missing.Farmers, &missing.Online, &missing.Contracts, &missing.Size)
		}, "SELECT t.farmers - r.farmers, t.online - r.online, t.contracts - r.contracts, t.size - r.size FROM"+
			" (SELECT COUNT(*) AS farmers, COALESCE(SUM(CASE WHEN contracts > 0 THEN 1 ELSE 0 END), 0) AS online,"+
			" COALESCE(SUM(contracts), 0) AS contracts, COALESCE(SUM(size), 0) AS size FROM tokens) t,"+
			" (SELECT COALESCE(SUM(farmers), 0) AS farmers, COALESCE(SUM(online), 0) AS online,"+
			" COALESCE(SUM(contracts), 0) AS contracts, COALESCE(SUM(size), 0) AS size FROM spans) r")
		if err != nil {
			return false, err
		}
		return missing != (node.Totals{}), s.record(t, []event{{now, missing}})
	})
}

// FarmerDays lists a farmer's days up to now. The first listed day is the farmer's
// first day, or the day of since if that is later. The faults of the node are in no
// day's times. It returns ErrNotFound if there is no such farmer.
func (s *Store) FarmerDays(ctx context.Context, farmerID string, since, now time.Time) (days []node.Day, err error) {
	defer wrap(&err, "list the days of farmer %s", farmerID)
	// Read the token first. If its day is closed before the second query, the new
	// row is for a day that the token has already reported, and the second query
	// skips that row.
	tokens, err := selectRows(s.reader(ctx), lockedColumns, "FROM tokens WHERE farmer_id = ?", farmerID)
	if err != nil {
		return nil, err
	}
	if len(tokens) == 0 {
		return nil, ErrNotFound
	}
	token := s.locked(tokens[0])
	if token.Day == 0 {
		return nil, nil
	}
	closed, err := selectRows(s.reader(ctx), dayTable.columns, "FROM farmer_days WHERE token_id = ? AND day >= ? AND day < ? ORDER BY day",
		token.ID, dayOf(since), token.Day)
	if err != nil {
		return nil, err
	}
	first := dayOf(since)
	faults, err := s.pastFaults(ctx, token.ID, dayStart(first), now)
	if err != nil {
		return nil, err
	}
	began := token.leaveOutAll(faults)
	until := now
	if len(faults) > 0 { // until the farmers must have come back, the uptime lacks time that has yet to pass
		until = later(now, faults[0].resume)
	}
	byDay := map[int64]dayRow{}
	oldest := token.old.Day
	for _, row := range slices.Concat(closed, token.closed, token.days(until)) {
		byDay[row.Day] = row
		oldest = min(oldest, row.Day)
	}
	for day := max(first, oldest); day <= dayOf(now); day++ {
		start, end := later(dayStart(day), began), earlier(dayStart(day+1), now)
		possible := end.Sub(start)
		for _, f := range faults {
			possible -= max(0, earlier(f.resume, end).Sub(later(f.start, start)))
		}
		possible = max(0, possible)
		row := byDay[day]
		days = append(days, node.Day{
			Start: dayStart(day), Online: min(span(row.Online), possible), Possible: possible,
			Heartbeats: row.Heartbeats, Wrong: row.Wrong, Contracts: row.Contracts, Size: row.Size,
		})
	}
	return days, nil
}

// leaveOutAll takes faults, the latest first, out of the token's days. It returns the
// time of the first hand-out, which the faults have moved.
func (t *lockedToken) leaveOutAll(faults []pastFault) (began time.Time) {
	began = t.uptime().Since
	for _, f := range faults {
		if f.moved && !began.After(f.resume) {
			began = began.Add(f.start.Sub(f.resume))
		}
	}
	for _, f := range slices.Backward(faults) {
		if !f.moved && t.uptime().Online(f.start) {
			t.leaveOut(f.start, f.resume)
			t.UpEnd = micros(f.start)
		}
	}
	return began
}

// pruneDays deletes the days before the given day, for up to limit farmers.
func (s *Store) pruneDays(ctx context.Context, before int64, limit int) (n int64, err error) {
	tokens, err := s.reader(ctx).numbers("SELECT DISTINCT token_id FROM farmer_days WHERE day < ? LIMIT ?", before, limit)
	if err != nil {
		return 0, err
	}
	return inBatches(ctx, s, tokens, func(t *tx, batch []int64) error {
		return t.exec("DELETE FROM farmer_days WHERE token_id IN "+idList(batch)+" AND day < ?", before)
	})
}
