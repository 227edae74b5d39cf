package store

import (
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"
)

// lockedToken is what the transactions that change contracts need of a token.
type lockedToken struct {
	ID, AddressID, KeyID       int64
	IP                         string
	Heartbeats, Wrong, Expired int64
	Contracts, Size            int64
	LastDue                    int64
	Uptime                     uptimeRow `gorm:"embedded"`
	Day                        openDay   `gorm:"embedded"`

	// What the record has to add, see history_events.go.
	events  []event
	closed  []dayRow
	amended []amendment
	turned  bool // whether Day changed
}

// lockedColumns are those of lockedToken.
const lockedColumns = "id, address_id, key_id, ip, heartbeats, wrong, expired, contracts, size, last_due," +
	" up_since, up_start, up_end, up_before, day, day_heartbeats, day_wrong, day_online"

// lockTokens locks the tokens with these ids, in id order; those that are gone
// are missing from what it returns.
func (s *Store) lockTokens(tx *gorm.DB, ids []int64) (map[int64]*lockedToken, error) {
	tokens := make(map[int64]*lockedToken, len(ids))
	for batch := range slices.Chunk(distinct(ids), batchRows) {
		var rows []lockedToken
		err := tx.Raw("SELECT "+lockedColumns+" FROM tokens"+s.dialect.byID+
			" WHERE id IN ? ORDER BY id"+s.dialect.forUpdate, batch).Scan(&rows).Error
		if err != nil {
			return nil, err
		}
		for i := range rows {
			tokens[rows[i].ID] = &rows[i]
		}
	}
	return tokens, nil
}

// lockToken locks one token.
func (s *Store) lockToken(tx *gorm.DB, id int64) (*lockedToken, error) {
	tokens, err := s.lockTokens(tx, []int64{id})
	if err != nil {
		return nil, err
	}
	if t, ok := tokens[id]; ok {
		return t, nil
	}
	return nil, ErrNotFound
}

// saveTokens writes back what transactions change on locked tokens, and what
// the record has to know of it.
func (s *Store) saveTokens(tx *gorm.DB, tokens []*lockedToken) error {
	columns := []string{
		"heartbeats", "wrong", "expired", "contracts", "size", "last_due",
		"up_since", "up_start", "up_end", "up_before", "changed",
	}
	changes := make([]change, len(tokens))
	for i, t := range tokens {
		changes[i] = change{t.ID, []any{
			t.Heartbeats, t.Wrong, t.Expired, t.Contracts, t.Size, t.LastDue,
			t.Uptime.UpSince, t.Uptime.UpStart, t.Uptime.UpEnd, t.Uptime.UpBefore, stamp(0),
		}}
	}
	if err := update(tx, "tokens", columns, changes); err != nil {
		return err
	}
	if err := saveDays(tx, tokens); err != nil {
		return err
	}
	return s.record(tx, eventsOf(tokens))
}

// lockContracts locks the contracts with these ids, in id order. Their tokens
// are locked already.
func (s *Store) lockContracts(tx *gorm.DB, ids []int64) (map[int64]*contractRow, error) {
	found := make(map[int64]*contractRow, len(ids))
	for batch := range slices.Chunk(distinct(ids), batchRows) {
		var rows []contractRow
		err := tx.Raw("SELECT * FROM contracts"+s.dialect.byID+" WHERE id IN ? ORDER BY id"+s.dialect.forUpdate, batch).
			Scan(&rows).Error
		if err != nil {
			return nil, err
		}
		for i := range rows {
			found[rows[i].ID] = &rows[i]
		}
	}
	return found, nil
}

// insertOrLock inserts a row, or locks the one there is with that value in the
// first column.
func (s *Store) insertOrLock(tx *gorm.DB, table string, columns []string, values ...any) error {
	sql := "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES ?" +
		fmt.Sprintf(s.dialect.orLock, columns[0])
	return tx.Exec(sql, values).Error
}

// lockSetting takes the lock of that name: a row in settings, made on first
// use. One transaction holds it at a time.
func (s *Store) lockSetting(tx *gorm.DB, name string) error {
	return s.insertOrLock(tx, "settings", []string{"name", "value"}, name, []byte{})
}

// lockIP takes the lock of an IP address.
func (s *Store) lockIP(tx *gorm.DB, ip string) error {
	return s.insertOrLock(tx, "ips", []string{"ip"}, ip)
}
