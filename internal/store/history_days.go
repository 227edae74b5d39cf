package store

import (
	"context"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/driveshare/downstream-node/internal/node"
)

// dayRow is a farmer's day that is over.
type dayRow struct {
	TokenID, Day      int64
	Online            int64
	Heartbeats, Wrong int64
	Contracts, Size   int64
}

func (dayRow) TableName() string { return "farmer_days" }

// openDay is the day that a token is in, 0 before its first, and what its
// totals were when that began.
type openDay struct {
	Day        int64
	Heartbeats int64 `gorm:"column:day_heartbeats"`
	Wrong      int64 `gorm:"column:day_wrong"`
	Online     int64 `gorm:"column:day_online"`
}

// amendment changes a day that is over, because something of it comes late.
type amendment struct {
	day int64
	node.Totals
}

const dayLength = 24 * time.Hour

// dayOf is the day that t is in, counted from the Unix epoch.
func dayOf(t time.Time) int64 { return t.Unix() / int64(dayLength/time.Second) }

func dayStart(day int64) time.Time { return time.Unix(day*int64(dayLength/time.Second), 0).UTC() }

// turn makes the day of at the token's, before anything of that day changes
// its counts: what they are is then what the days before came to. So a
// farmer's days cost one row a day, and no look at those where nothing happens.
func (t *lockedToken) turn(at time.Time) {
	day := dayOf(at)
	if day <= t.Day.Day {
		return
	}
	if t.Day.Day > 0 {
		t.closed = append(t.closed, t.days(dayStart(day))...)
	}
	t.Day = openDay{
		Day:        day,
		Heartbeats: t.Heartbeats,
		Wrong:      t.Wrong,
		Online:     t.Uptime.uptime().Sum(dayStart(day)).Microseconds(),
	}
}

// days are the token's days from the open one until a moment, for as long as
// there is something to tell.
func (t *lockedToken) days(until time.Time) []dayRow {
	uptime := t.Uptime.uptime()
	row := dayRow{
		TokenID: t.ID, Day: t.Day.Day,
		Heartbeats: t.Heartbeats - t.Day.Heartbeats, Wrong: t.Wrong - t.Day.Wrong,
		Contracts: t.Contracts, Size: t.Size,
	}
	before := t.Day.Online
	var rows []dayRow
	for ; dayStart(row.Day).Before(until); row.Day++ {
		sum := uptime.Sum(earlier(dayStart(row.Day+1), until)).Microseconds()
		row.Online, before = sum-before, sum
		if row.Online == 0 && row.Heartbeats == 0 && row.Wrong == 0 && row.Day > t.Day.Day {
			break
		}
		rows = append(rows, row)
		row.Heartbeats, row.Wrong = 0, 0
	}
	return rows
}

// amend adds to a day before the open one, and takes that off the open one.
func (t *lockedToken) amend(day int64, c node.Totals) {
	t.amended = append(t.amended, amendment{day, c})
	t.Day.Heartbeats += c.Heartbeats
	t.Day.Wrong += c.Wrong
}

// saveDays writes the tokens' days that are over, and what comes late to one.
func saveDays(tx *gorm.DB, tokens []*lockedToken) error {
	var closed []dayRow
	for _, t := range tokens {
		closed = append(closed, t.closed...)
	}
	if len(closed) > 0 {
		if err := tx.CreateInBatches(closed, batchRows).Error; err != nil {
			return err
		}
	}
	for _, t := range tokens {
		for _, a := range t.amended {
			if err := amendDay(tx, t, a); err != nil {
				return err
			}
		}
	}
	return nil
}

// amendDay changes the day, and what that leaves at the end of those after it.
func amendDay(tx *gorm.DB, t *lockedToken, a amendment) error {
	err := tx.Exec("UPDATE farmer_days SET contracts = contracts + ?, size = size + ? WHERE token_id = ? AND day >= ?",
		a.Contracts, a.Size, t.ID, a.day).Error
	if err != nil {
		return err
	}
	return tx.Exec("UPDATE farmer_days SET heartbeats = heartbeats + ?, wrong = wrong + ? WHERE token_id = ? AND day = ?",
		a.Heartbeats, a.Wrong, t.ID, a.day).Error
}

// FarmerDays lists a farmer's days up to now, every one from its first on, but
// none before since. It fails with ErrNotFound.
func (s *Store) FarmerDays(ctx context.Context, farmerID string, since, now time.Time) (days []node.Day, err error) {
	defer wrap(&err, "list the days of farmer %s", farmerID)
	var t lockedToken
	var rows []dayRow
	// The token is read first: should its day turn now, the row that is written
	// is of a day that the token has told already, and is left out.
	db := s.read.WithContext(ctx)
	err = query(db, t.scan, "SELECT "+lockedColumns+" FROM tokens WHERE farmer_id = ?", farmerID)
	if err == nil && t.ID == 0 {
		err = ErrNotFound
	}
	if err != nil || t.Day.Day == 0 {
		return nil, err
	}
	err = db.Where("token_id = ? AND day >= ? AND day < ?", t.ID, dayOf(since), t.Day.Day).Order("day").Find(&rows).Error
	if err != nil {
		return nil, err
	}
	rows = append(rows, t.days(now)...)
	return everyDay(rows, t.Uptime.uptime(), max(rows[0].Day, dayOf(since)), now), nil
}

// everyDay fills in the days of which there is nothing to tell.
func everyDay(rows []dayRow, uptime node.Uptime, first int64, now time.Time) []node.Day {
	var days []node.Day
	for day := first; day <= dayOf(now); day++ {
		start, end := dayStart(day), earlier(dayStart(day+1), now)
		d := node.Day{Start: start, Possible: max(0, end.Sub(later(start, uptime.Since)))}
		for len(rows) > 0 && rows[0].Day < day {
			rows = rows[1:]
		}
		if len(rows) > 0 && rows[0].Day == day {
			r := rows[0]
			d.Online, d.Heartbeats, d.Wrong = span(r.Online), r.Heartbeats, r.Wrong
			d.Contracts, d.Size = r.Contracts, r.Size
		}
		days = append(days, d)
	}
	return days
}

// pruneDays deletes farmers' days before the given one, of up to limit farmers.
func (s *Store) pruneDays(ctx context.Context, before int64, limit int) (n int64, err error) {
	var tokens []int64
	err = s.read.WithContext(ctx).Raw("SELECT DISTINCT token_id FROM farmer_days WHERE day < ? LIMIT ?", before, limit).
		Scan(&tokens).Error
	if err != nil {
		return 0, err
	}
	for batch := range slices.Chunk(tokens, batchRows) {
		err := s.transaction(ctx, func(tx *gorm.DB) error {
			return tx.Exec("DELETE FROM farmer_days WHERE token_id IN ? AND day < ?", batch, before).Error
		})
		if err != nil {
			return n, err
		}
		n += int64(len(batch))
	}
	return n, nil
}
