package store

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/driveshare/downstream-node/internal/node"
)

// Reservation is the right to make one chunk, until its lease runs out.
type Reservation struct {
	ID    int64
	KeyID int64
	Size  int64 // bytes, of the chunk to make
	Until time.Time
}

// InventoryCounts counts the key's chunks of each size that wait or are being
// made: what node.Inventory.Missing asks for.
func (s *Store) InventoryCounts(ctx context.Context, keyID int64, now time.Time) (counts map[int64]int64, err error) {
	defer wrap(&err, "count inventory")
	return inventoryCounts(s.read.WithContext(ctx), keyID, now)
}

// inventoryCounts is one statement, so that a reservation that just now turns
// into a chunk is seen as one of the two.
func inventoryCounts(tx *gorm.DB, keyID int64, now time.Time) (map[int64]int64, error) {
	var rows []struct{ Size, N int64 }
	err := tx.Raw("SELECT size, COUNT(*) AS n FROM chunks WHERE key_id = ? GROUP BY size"+
		" UNION ALL SELECT size, COUNT(*) AS n FROM reservations WHERE key_id = ? AND lease_until > ? GROUP BY size",
		keyID, keyID, micros(now)).Scan(&rows).Error
	if err != nil {
		return nil, err
	}
	counts := map[int64]int64{}
	for _, row := range rows {
		counts[row.Size] += row.N
	}
	return counts, nil
}

// Reserve reserves the chunk that the inventory lacks most; ok is false where
// it is full. However many workers ask, together they make no chunk too many.
func (s *Store) Reserve(ctx context.Context, keyID int64, inventory node.Inventory, lease time.Duration, now time.Time) (r Reservation, ok bool, err error) {
	defer wrap(&err, "reserve a chunk to make")
	err = s.transaction(ctx, func(tx *gorm.DB) error {
		if err := s.lockSetting(tx, inventoryLock); err != nil {
			return err
		}
		counts, err := inventoryCounts(tx, keyID, now)
		if err != nil {
			return err
		}
		var size int64
		size, ok, err = inventory.Missing(counts)
		if err != nil || !ok {
			return err
		}
		until := cut(now.Add(lease))
		row := reservationRow{KeyID: keyID, Size: size, LeaseUntil: micros(until)}
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		r = Reservation{ID: row.ID, KeyID: keyID, Size: size, Until: until}
		return nil
	})
	if err != nil || !ok {
		return Reservation{}, false, err
	}
	return r, true, nil
}

// ExtendLease gives the reservation until now plus lease. Where it has run out
// already, another may have taken its place: then it fails with
// ErrReservationGone.
func (s *Store) ExtendLease(ctx context.Context, reservationID int64, lease time.Duration, now time.Time) (err error) {
	defer wrap(&err, "extend reservation %d", reservationID)
	res := s.write.WithContext(ctx).Exec("UPDATE reservations SET lease_until = ? WHERE id = ? AND lease_until > ?",
		micros(now.Add(lease)), reservationID, micros(now))
	if res.Error == nil && res.RowsAffected == 0 {
		return ErrReservationGone
	}
	return res.Error
}

// ReleaseReservation gives a reservation back that will not be used.
func (s *Store) ReleaseReservation(ctx context.Context, reservationID int64) (err error) {
	defer wrap(&err, "release reservation %d", reservationID)
	return s.write.WithContext(ctx).Delete(&reservationRow{}, reservationID).Error
}
