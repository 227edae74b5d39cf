package store

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"time"
)

// Listed is an SJCX address of a whitelist.
type Listed struct {
	Address string
	Balance int64 // SJCX, as listed; stored for operators, no rule uses it
	Low     bool  // the SJCX address keeps what it has, and gets no new tokens
}

// WhitelistChange counts the changes that LoadWhitelist makes.
type WhitelistChange struct {
	Added     int   // number of SJCX addresses that may get tokens and could not before
	Kept      int   // number of SJCX addresses that may get tokens, as before
	Low       int   // number of SJCX addresses that keep what they have, and get no new tokens
	Removed   int   // number of SJCX addresses that are deleted
	Tokens    int64 // number of tokens that the deleted SJCX addresses have
	Contracts int64 // number of contracts of these tokens
}

// LoadWhitelist makes the whitelist equal to list, which has each SJCX address once.
// It deletes every other SJCX address with its tokens and contracts. If
// LoadWhitelist fails, nothing changes.
func (s *Store) LoadWhitelist(ctx context.Context, list []Listed, now time.Time) (change WhitelistChange, err error) {
	defer wrap(&err, "load whitelist")
	return transact(ctx, s, func(t *tx) (WhitelistChange, error) {
		if err := s.lock(t, whitelistLock); err != nil {
			return WhitelistChange{}, err
		}
		plan, err := planWhitelist(t, list)
		if err != nil {
			return WhitelistChange{}, err
		}
		if err := s.writeAddresses(t, plan.write); err != nil {
			return WhitelistChange{}, err
		}
		plan.Tokens, plan.Contracts, err = s.deleteAddresses(t, plan.remove, now)
		return plan.WhitelistChange, err
	})
}

// PlanWhitelist returns what LoadWhitelist would change. It changes nothing.
func (s *Store) PlanWhitelist(ctx context.Context, list []Listed) (change WhitelistChange, err error) {
	defer wrap(&err, "plan to load whitelist")
	err = s.snapshot(ctx, s.read.pool, func(t *tx) error {
		plan, err := planWhitelist(t, list)
		if err != nil {
			return err
		}
		change = plan.WhitelistChange
		for batch := range slices.Chunk(plan.remove, batchRows) {
			err := t.query(func(rows *sql.Rows) error {
				var tokens, contracts int64
				err := rows.Scan(&tokens, &contracts)
				change.Tokens += tokens
				change.Contracts += contracts
				return err
			}, "SELECT COUNT(*), COALESCE(SUM(contracts), 0) FROM tokens WHERE address_id IN "+idList(batch))
			if err != nil {
				return err
			}
		}
		return nil
	})
	return change, err
}

// whitelistPlan is the change and the rows of addresses to write and to remove.
type whitelistPlan struct {
	WhitelistChange
	write  []addressRow
	remove []int64
}

func planWhitelist(t *tx, list []Listed) (plan whitelistPlan, err error) {
	rows, err := selectRows(t, addressTable.columns, "FROM addresses ORDER BY id")
	if err != nil {
		return plan, err
	}
	known := make(map[string]addressRow, len(rows))
	for _, row := range rows {
		known[row.Address] = row
	}
	for _, entry := range list {
		row, exists := known[entry.Address]
		delete(known, entry.Address)
		switch {
		case entry.Low && !exists:
			continue // it has nothing to keep
		case entry.Low:
			plan.Low++
		case row.Whitelisted:
			plan.Kept++
		default:
			plan.Added++
		}
		want := addressRow{ID: row.ID, Address: entry.Address, Whitelisted: !entry.Low, Balance: entry.Balance}
		if row != want {
			plan.write = append(plan.write, want)
		}
	}
	for _, row := range rows {
		if _, left := known[row.Address]; left {
			plan.remove = append(plan.remove, row.ID)
		}
	}
	plan.Removed = len(plan.remove)
	return plan, nil
}

// WhitelistEntry is an SJCX address in the database.
type WhitelistEntry struct {
	Address     string
	Balance     int64
	Whitelisted bool // it may get new tokens
	Tokens      int64
	Contracts   int64
}

// Whitelist lists all SJCX addresses in the database, in their order.
func (s *Store) Whitelist(ctx context.Context) (list []WhitelistEntry, err error) {
	defer wrap(&err, "list whitelist")
	return appendRows(nil, s.reader(ctx), func(e *WhitelistEntry) []any {
		return []any{&e.Address, &e.Balance, &e.Whitelisted, &e.Tokens, &e.Contracts}
	}, "SELECT a.address, a.balance, a.whitelisted, COUNT(t.id), COALESCE(SUM(t.contracts), 0)"+
		" FROM addresses a LEFT JOIN tokens t ON t.address_id = a.id GROUP BY a.id ORDER BY a.address")
}

// RemoveAddress deletes an SJCX address with its tokens and contracts. It returns
// ErrNotFound if the SJCX address is not in the database.
func (s *Store) RemoveAddress(ctx context.Context, address string, now time.Time) (tokens, contracts int64, err error) {
	defer wrap(&err, "remove address %s", address)
	err = s.transaction(ctx, func(t *tx) error {
		if err := s.lock(t, whitelistLock); err != nil {
			return err
		}
		id, err := t.number("SELECT id FROM addresses WHERE address = ?", address)
		if err != nil {
			return err
		}
		if id == 0 {
			return ErrNotFound
		}
		tokens, contracts, err = s.deleteAddresses(t, []int64{id}, now)
		return err
	})
	return tokens, contracts, err
}

// AllowAddress adds one SJCX address to the whitelist, or changes its balance.
func (s *Store) AllowAddress(ctx context.Context, entry Listed) (err error) {
	defer wrap(&err, "allow address %s", entry.Address)
	return s.transaction(ctx, func(t *tx) error {
		if err := s.lock(t, whitelistLock); err != nil {
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
// returns how many tokens and contracts it deleted.
func (s *Store) deleteAddresses(t *tx, ids []int64, now time.Time) (tokens, contracts int64, err error) {
	var left []event
	for batch := range slices.Chunk(ids, batchRows) {
		_, err := t.numbers("SELECT id FROM addresses" + s.dialect.byID + " WHERE id IN " + idList(batch) + " ORDER BY id" + s.dialect.forUpdate)
		if err != nil {
			return 0, 0, err
		}
		removed, err := t.numbers("SELECT id FROM tokens WHERE address_id IN " + idList(batch))
		if err != nil {
			return 0, 0, err
		}
		held, err := s.lockTokens(t, slices.Clone(removed))
		if err != nil {
			return 0, 0, err
		}
		for _, token := range held {
			contracts += token.Contracts
		}
		events, err := s.deleteTokens(t, removed, now)
		if err != nil {
			return 0, 0, err
		}
		left = append(left, events...)
		if err := t.exec("DELETE FROM addresses WHERE id IN " + idList(batch)); err != nil {
			return 0, 0, err
		}
		tokens += int64(len(removed))
	}
	return tokens, contracts, s.record(t, left)
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
	var balance int64 // 0 if the address was never on a whitelist
	err = t.query(func(rows *sql.Rows) error { return rows.Scan(&id, &whitelisted, &balance) },
		"SELECT id, whitelisted, balance FROM addresses WHERE address = ?"+s.dialect.forUpdate, address)
	if err != nil {
		return 0, err
	}
	switch {
	case id == 0 || whitelist && !whitelisted && balance == 0:
		return 0, ErrNotWhitelisted
	case whitelist && !whitelisted:
		return 0, ErrLowBalance
	}
	return id, nil
}
