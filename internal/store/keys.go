package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"
)

// Key is a heartbeat key as the database knows it: by a fingerprint, never by
// its secret.
type Key struct {
	Fingerprint string
	Type        string
}

// RegisterKeys tells the database which heartbeat keys the node has, and
// returns their ids in that order. New ones are added. One that the database
// knows and the node has not fails with ErrKeyMissing: a key that was replaced
// would void every contract, and unnoticed.
func (s *Store) RegisterKeys(ctx context.Context, keys []Key, now time.Time) (ids []int64, err error) {
	defer wrap(&err, "register heartbeat keys")
	err = s.transaction(ctx, func(tx *gorm.DB) error {
		if err := s.lockSetting(tx, keysLock); err != nil {
			return err
		}
		known, err := knownKeys(tx, keys)
		if err != nil {
			return err
		}
		ids = make([]int64, len(keys))
		for i, key := range keys {
			if id, ok := known[key.Fingerprint]; ok {
				ids[i] = id
				continue
			}
			row := keyRow{Fingerprint: key.Fingerprint, Type: key.Type, Created: micros(now)}
			if err := tx.Create(&row).Error; err != nil {
				return err
			}
			ids[i], known[key.Fingerprint] = row.ID, row.ID
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ids, nil
}

// knownKeys maps the fingerprints in the database to their ids; given must
// hold all of them.
func knownKeys(tx *gorm.DB, given []Key) (map[string]int64, error) {
	var rows []keyRow
	if err := tx.Order("id").Find(&rows).Error; err != nil {
		return nil, err
	}
	known := make(map[string]int64, len(rows))
	for _, row := range rows {
		has := slices.ContainsFunc(given, func(k Key) bool {
			return k.Fingerprint == row.Fingerprint && k.Type == row.Type
		})
		if !has {
			return nil, fmt.Errorf("%w: %s %s", ErrKeyMissing, row.Type, row.Fingerprint)
		}
		known[row.Fingerprint] = row.ID
	}
	return known, nil
}
