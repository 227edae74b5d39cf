package store

import (
	"context"
	"time"

	"gorm.io/gorm"
)

// Hour is a row of the history. FarmersOnline, Contracts and Size are as they
// were at its recording; the rest are totals over the tokens there were, from
// their creation on, of which a plot takes differences.
type Hour struct {
	Start         time.Time
	FarmersOnline int64
	Contracts     int64
	Size          int64 // bytes
	Heartbeats    int64
	Wrong         int64
	Expired       int64
}

// RecordHour records the hour of now, unless that is done: the first of the
// workers that ask does it.
func (s *Store) RecordHour(ctx context.Context, now time.Time) (recorded bool, err error) {
	defer wrap(&err, "record history")
	hour := now.UTC().Truncate(time.Hour)
	var there int64
	err = s.read.WithContext(ctx).Model(&historyRow{}).Where("hour = ?", micros(hour)).Count(&there).Error
	if err != nil || there > 0 {
		return false, err
	}
	var total historyRow
	err = s.read.WithContext(ctx).Raw("SELECT"+
		" COALESCE(SUM(CASE WHEN up_end > ? THEN 1 ELSE 0 END), 0) AS farmers_online,"+
		" COALESCE(SUM(CASE WHEN up_end > ? THEN contracts ELSE 0 END), 0) AS contracts,"+
		" COALESCE(SUM(CASE WHEN up_end > ? THEN size ELSE 0 END), 0) AS size,"+
		" COALESCE(SUM(heartbeats), 0) AS heartbeats, COALESCE(SUM(wrong), 0) AS wrong,"+
		" COALESCE(SUM(expired), 0) AS expired FROM tokens", micros(now), micros(now), micros(now)).Scan(&total).Error
	if err != nil {
		return false, err
	}
	total.Hour = micros(hour)
	err = s.transaction(ctx, func(tx *gorm.DB) error {
		res := tx.Exec(s.dialect.insertIgnore+" INTO history"+
			" (hour, farmers_online, contracts, size, heartbeats, wrong, expired) VALUES (?, ?, ?, ?, ?, ?, ?)",
			total.Hour, total.FarmersOnline, total.Contracts, total.Size, total.Heartbeats, total.Wrong, total.Expired)
		recorded = res.RowsAffected == 1
		return res.Error
	})
	return recorded && err == nil, err
}

// History lists the recorded hours from since on, in order.
func (s *Store) History(ctx context.Context, since time.Time) (hours []Hour, err error) {
	defer wrap(&err, "read history")
	var rows []historyRow
	err = s.read.WithContext(ctx).Where("hour >= ?", micros(since)).Order("hour").Find(&rows).Error
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		hours = append(hours, Hour{
			Start:         moment(r.Hour),
			FarmersOnline: r.FarmersOnline,
			Contracts:     r.Contracts,
			Size:          r.Size,
			Heartbeats:    r.Heartbeats,
			Wrong:         r.Wrong,
			Expired:       r.Expired,
		})
	}
	return hours, nil
}
