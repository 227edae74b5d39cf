package store

import (
	"context"
	"encoding/binary"
	"time"

	"gorm.io/gorm"
)

// TakeTurn says whether the caller is to do now what one of all processes does
// every so often: nobody took that turn within the time each. Nothing is held
// meanwhile; where a process dies at its turn, the next one is another's.
func (s *Store) TakeTurn(ctx context.Context, what string, each time.Duration, now time.Time) (taken bool, err error) {
	defer wrap(&err, "take the turn to %s", what)
	name := "turn_" + what
	due, err := turnDue(s.read.WithContext(ctx), name, each, now)
	if err != nil || !due {
		return false, err
	}
	err = s.transaction(ctx, func(tx *gorm.DB) (err error) {
		if err := s.lockSetting(tx, name); err != nil {
			return err
		}
		if taken, err = turnDue(tx, name, each, now); err != nil || !taken {
			return err
		}
		value := binary.BigEndian.AppendUint64(nil, uint64(micros(now)))
		return tx.Exec("UPDATE settings SET value = ? WHERE name = ?", value, name).Error
	})
	return taken && err == nil, err
}

// turnDue says whether the last turn is long enough ago, or lies in a future
// that a clock which was set back will not reach soon.
func turnDue(tx *gorm.DB, name string, each time.Duration, now time.Time) (bool, error) {
	var row settingRow
	if err := tx.Where("name = ?", name).Limit(1).Find(&row).Error; err != nil {
		return false, err
	}
	if len(row.Value) != 8 {
		return true, nil // nobody's yet
	}
	since := now.Sub(moment(int64(binary.BigEndian.Uint64(row.Value))))
	return since >= each || since < -each, nil
}
