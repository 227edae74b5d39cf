package store

import (
	"context"
	"crypto/rand"
	"fmt"

	"gorm.io/gorm"
)

// The rows of settings: values, and locks that have no other row.
const (
	ipHashKeySetting = "ip_hash_key"
	keysLock         = "lock_heartbeat_keys"
	whitelistLock    = "lock_whitelist"
	inventoryLock    = "lock_inventory"
	recordLock       = "lock_record"
)

const ipHashKeyBytes = 32

// IPHashKey is the key for node.IPHash: 32 random bytes, made on first use and
// the same ever after.
func (s *Store) IPHashKey(ctx context.Context) (key []byte, err error) {
	defer wrap(&err, "read IP hash key")
	if key, err = s.ipHashKey(s.read.WithContext(ctx)); key != nil || err != nil {
		return key, err
	}
	fresh := make([]byte, ipHashKeyBytes)
	rand.Read(fresh)
	err = s.transaction(ctx, func(tx *gorm.DB) error {
		// Where another was first, this leaves its key and waits for it.
		if err := s.insertOrLock(tx, "settings", []string{"name", "value"}, ipHashKeySetting, fresh); err != nil {
			return err
		}
		key, err = s.ipHashKey(tx)
		return err
	})
	return key, err
}

func (s *Store) ipHashKey(tx *gorm.DB) ([]byte, error) {
	var row settingRow
	err := tx.Where("name = ?", ipHashKeySetting).Limit(1).Find(&row).Error
	if err != nil || row.Name == "" {
		return nil, err
	}
	if len(row.Value) != ipHashKeyBytes {
		return nil, fmt.Errorf("setting %s has %d bytes, not %d", ipHashKeySetting, len(row.Value), ipHashKeyBytes)
	}
	return row.Value, nil
}
