package store

import (
	"cmp"
	"context"
	"database/sql"
	"iter"
	"slices"
	"time"
)

// Allowed is an entry of the whitelist.
type Allowed struct {
	Address string
	Balance int64 // SJCX, as listed; stored for operators, no rule uses it
}

// WhitelistChange counts the changes that LoadWhitelist made.
type WhitelistChange struct {
	Added   int // number of SJCX addresses that were not on the whitelist before
	Kept    int // number of SJCX addresses that were on the whitelist before
	Removed int // number of SJCX addresses that were deleted
	Tokens  int // number of tokens that the deleted SJCX addresses had
}

// LoadWhitelist makes the whitelist equal to entries. It deletes every other SJCX
// address with its tokens and contracts. If LoadWhitelist or entries fails, nothing
// changes.
func (s *Store) LoadWhitelist(ctx context.Context, entries iter.Seq2[Allowed, error], now time.Time) (change WhitelistChange, err error) {
	defer wrap(&err, "load whitelist")
	wanted := map[string]int64{}
	for entry, err := range entries {
		if err != nil {
			return WhitelistChange{}, err
		}
		wanted[entry.Address] = entry.Balance
	}
	return transact(ctx, s, func(t *tx) (WhitelistChange, error) { return s.replaceWhitelist(t, wanted, now) })
}

func (s *Store) replaceWhitelist(t *tx, wanted map[string]int64, now time.Time) (WhitelistChange, error) {
	if err := s.lockSetting(t, whitelistLock); err != nil {
		return WhitelistChange{}, err
	}
	known, err := selectRows(t, addressTable.columns, "FROM addresses ORDER BY id")
	if err != nil {
		return WhitelistChange{}, err
	}
	var removed []int64
	listed := map[string]int64{}
	for _, row := range known {
		if _, ok := wanted[row.Address]; !ok {
			removed = append(removed, row.ID)
		} else if row.Whitelisted {
			listed[row.Address] = row.Balance
		}
	}
	var write []addressRow
	for address, balance := range wanted {
		if old, ok := listed[address]; !ok || old != balance {
			write = append(write, addressRow{Address: address, Whitelisted: true, Balance: balance})
		}
	}
	if err := s.writeAddresses(t, write); err != nil {
		return WhitelistChange{}, err
	}
	tokens, err := s.deleteAddresses(t, removed, now)
	if err != nil {
		return WhitelistChange{}, err
	}
	return WhitelistChange{
		Added:   len(wanted) - len(listed),
		Kept:    len(listed),
		Removed: len(removed),
		Tokens:  tokens,
	}, nil
}

// AllowAddress adds one SJCX address to the whitelist, or changes its balance.
func (s *Store) AllowAddress(ctx context.Context, entry Allowed) (err error) {
	defer wrap(&err, "allow address %s", entry.Address)
	return s.transaction(ctx, func(t *tx) error {
		if err := s.lockSetting(t, whitelistLock); err != nil {
			return err
		}
		return s.writeAddresses(t, []addressRow{{Address: entry.Address, Whitelisted: true, Balance: entry.Balance}})
	})
}

// writeAddresses inserts or updates SJCX addresses.
func (s *Store) writeAddresses(t *tx, rows []addressRow) error {
	slices.SortFunc(rows, func(a, b addressRow) int { return cmp.Compare(a.Address, b.Address) })
	return insert(t, addressTable, rows, s.dialect.orSet("address", "whitelisted", "balance"))
}

// deleteAddresses deletes SJCX addresses, their tokens and their contracts. It
// returns how many tokens it deleted.
func (s *Store) deleteAddresses(t *tx, ids []int64, now time.Time) (tokens int, err error) {
	var left []event
	for batch := range slices.Chunk(ids, batchRows) {
		_, err := t.numbers("SELECT id FROM addresses" + s.dialect.byID + " WHERE id IN " + idList(batch) + " ORDER BY id" + s.dialect.forUpdate)
		if err != nil {
			return 0, err
		}
		removed, err := t.numbers("SELECT id FROM tokens WHERE address_id IN " + idList(batch))
		if err != nil {
			return 0, err
		}
		events, err := s.deleteTokens(t, removed, now)
		if err != nil {
			return 0, err
		}
		left = append(left, events...)
		if err := t.exec("DELETE FROM addresses WHERE id IN " + idList(batch)); err != nil {
			return 0, err
		}
		tokens += len(removed)
	}
	return tokens, s.record(t, left)
}

// lockAddress locks the row of the SJCX address. Without a whitelist, it first
// creates the row if the row does not exist.
func (s *Store) lockAddress(t *tx, address string, whitelist bool) (id int64, err error) {
	if !whitelist {
		err := t.exec("INSERT INTO addresses (address) VALUES (?)"+s.dialect.orLock("address"), address)
		if err != nil {
			return 0, err
		}
	}
	var whitelisted bool
	err = t.query(func(rows *sql.Rows) error { return rows.Scan(&id, &whitelisted) },
		"SELECT id, whitelisted FROM addresses WHERE address = ?"+s.dialect.forUpdate, address)
	if err != nil {
		return 0, err
	}
	if id == 0 || whitelist && !whitelisted {
		return 0, ErrNotWhitelisted
	}
	return id, nil
}
