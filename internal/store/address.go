package store

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Allowed is an entry of the whitelist.
type Allowed struct {
	Address string
	Balance int64 // SJCX, as the list had it; kept for operators, no rule reads it
}

// WhitelistChange counts what LoadWhitelist did.
type WhitelistChange struct {
	Added   int // addresses that were not on the whitelist
	Kept    int // addresses that were
	Removed int // addresses that were known, and are no longer
	Tokens  int // tokens that went with them
}

// LoadWhitelist makes the whitelist equal to entries. An address that is not
// among them loses its tokens and contracts. An error, also one from entries,
// changes nothing.
func (s *Store) LoadWhitelist(ctx context.Context, entries iter.Seq2[Allowed, error], now time.Time) (change WhitelistChange, err error) {
	defer wrap(&err, "load whitelist")
	wanted := map[string]int64{}
	for entry, err := range entries {
		if err != nil {
			return WhitelistChange{}, err
		}
		wanted[entry.Address] = entry.Balance
	}
	err = s.transaction(ctx, func(tx *gorm.DB) (err error) {
		change, err = s.replaceWhitelist(tx, wanted, now)
		return err
	})
	if err != nil {
		return WhitelistChange{}, err
	}
	return change, nil
}

func (s *Store) replaceWhitelist(tx *gorm.DB, wanted map[string]int64, now time.Time) (WhitelistChange, error) {
	if err := s.lockSetting(tx, whitelistLock); err != nil {
		return WhitelistChange{}, err
	}
	var known []addressRow
	if err := tx.Order("id").Find(&known).Error; err != nil {
		return WhitelistChange{}, err
	}
	var gone []int64
	listed := map[string]addressRow{}
	for _, row := range known {
		if _, ok := wanted[row.Address]; !ok {
			gone = append(gone, row.ID)
		} else if row.Whitelisted {
			listed[row.Address] = row
		}
	}
	var write []addressRow
	for address, balance := range wanted {
		if row, ok := listed[address]; !ok || row.Balance != balance {
			write = append(write, addressRow{Address: address, Whitelisted: true, Balance: balance})
		}
	}
	if err := writeAddresses(tx, write); err != nil {
		return WhitelistChange{}, err
	}
	tokens, err := s.deleteAddresses(tx, gone, now)
	if err != nil {
		return WhitelistChange{}, err
	}
	return WhitelistChange{
		Added:   len(wanted) - len(listed),
		Kept:    len(listed),
		Removed: len(gone),
		Tokens:  tokens,
	}, nil
}

// AllowAddress adds one address to the whitelist, or changes its balance.
func (s *Store) AllowAddress(ctx context.Context, entry Allowed) (err error) {
	defer wrap(&err, "allow address %s", entry.Address)
	return s.transaction(ctx, func(tx *gorm.DB) error {
		if err := s.lockSetting(tx, whitelistLock); err != nil {
			return err
		}
		return writeAddresses(tx, []addressRow{{Address: entry.Address, Whitelisted: true, Balance: entry.Balance}})
	})
}

// writeAddresses inserts the rows, or makes those there are like them.
func writeAddresses(tx *gorm.DB, rows []addressRow) error {
	upsert := clause.OnConflict{
		Columns:   []clause.Column{{Name: "address"}},
		DoUpdates: clause.AssignmentColumns([]string{"whitelisted", "balance"}),
	}
	slices.SortFunc(rows, func(a, b addressRow) int { return cmp.Compare(a.Address, b.Address) })
	for batch := range slices.Chunk(rows, batchRows) {
		if err := tx.Clauses(upsert).Create(&batch).Error; err != nil {
			return err
		}
	}
	return nil
}

// deleteAddresses deletes addresses with all that hangs on them, and says how
// many tokens that were.
func (s *Store) deleteAddresses(tx *gorm.DB, ids []int64, now time.Time) (tokens int, err error) {
	var left []event
	for batch := range slices.Chunk(ids, batchRows) {
		var locked, gone []int64
		err := tx.Raw("SELECT id FROM addresses"+s.dialect.byID+" WHERE id IN ? ORDER BY id"+s.dialect.forUpdate, batch).
			Scan(&locked).Error
		if err != nil {
			return 0, err
		}
		if err := tx.Raw("SELECT id FROM tokens WHERE address_id IN ?", batch).Scan(&gone).Error; err != nil {
			return 0, err
		}
		events, err := s.deleteTokens(tx, gone, now)
		if err != nil {
			return 0, err
		}
		left = append(left, events...)
		if err := tx.Exec("DELETE FROM addresses WHERE id IN ?", batch).Error; err != nil {
			return 0, err
		}
		tokens += len(gone)
	}
	return tokens, s.record(tx, left)
}
