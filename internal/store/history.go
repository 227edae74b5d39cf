package store

import (
	"context"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// sumRow is the sum of what the record has of one step in one span asked for;
// at is 0 for all before.
type sumRow struct {
	Step           int
	At             int64
	Oldest, Newest int64       // starts of the rows
	Counts         node.Totals `gorm:"embedded"`
}

// History lists the spans from the one that holds from to the one that holds
// to; step is a minute, an hour or 24 hours, UTC. Every span is listed, also
// those in which nothing happened, from where the record, or what is kept of
// it at that step, begins.
//
// What happened reaches the record when it is committed: a heartbeat within
// the time that an answer takes, an expiry once the sweeper has been there.
func (s *Store) History(ctx context.Context, from, to time.Time, step time.Duration) (spans []node.Span, err error) {
	defer wrap(&err, "read history")
	from, to = from.UTC().Truncate(step), to.UTC().Truncate(step).Add(step)
	var sums []sumRow
	// One statement, and so one moment: rows move to coarser steps meanwhile.
	// What was before is most of it, and has an index to be grouped by.
	const sum = ", MIN(start) AS oldest, MAX(start) AS newest, SUM(farmers) AS farmers, SUM(online) AS online," +
		" SUM(contracts) AS contracts, SUM(size) AS size, SUM(heartbeats) AS heartbeats, SUM(wrong) AS wrong," +
		" SUM(expired) AS expired FROM spans"
	err = s.read.WithContext(ctx).Raw("SELECT step, 0 AS at"+sum+" WHERE start < ? GROUP BY step UNION ALL"+
		" SELECT step, start - start % ? AS at"+sum+" WHERE start >= ? AND start < ? GROUP BY step, at",
		micros(from), step.Microseconds(), micros(from), micros(to)).Scan(&sums).Error
	if err != nil {
		return nil, err
	}
	if len(sums) == 0 {
		return nil, nil
	}
	from = later(from, began(sums, step))
	var level node.Totals
	within := map[int64]node.Totals{}
	for _, row := range sums {
		if row.At < micros(from) {
			level = level.Plus(row.Counts)
		} else {
			within[row.At] = within[row.At].Plus(row.Counts)
		}
	}
	for at := from; at.Before(to); at = at.Add(step) {
		c := within[micros(at)]
		level = level.Plus(c)
		c.Farmers, c.Online, c.Contracts, c.Size = level.Farmers, level.Online, level.Contracts, level.Size
		spans = append(spans, node.Span{Start: at, Totals: c})
	}
	return spans, nil
}

// began is the first span that the record still has at this step.
func began(sums []sumRow, step time.Duration) time.Time {
	var oldest, gathered time.Time
	for _, row := range sums {
		switch {
		case row.Step == stepBefore:
		case row.Step == stepHour && step < time.Hour:
			gathered = later(gathered, moment(row.Newest).Add(time.Hour))
		case oldest.IsZero() || moment(row.Oldest).Before(oldest):
			oldest = moment(row.Oldest)
		}
	}
	if !gathered.IsZero() {
		return gathered
	}
	return oldest.Truncate(step)
}
