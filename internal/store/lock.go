package store

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"
)

// lockedToken is what the transactions that change contracts need of a token.
type lockedToken struct {
	ID, AddressID, KeyID int64
	IP                   string
	tokenState
	read tokenState // as it was when it was locked

	// What the record has to add, see history_events.go.
	events  []event
	closed  []dayRow
	amended []amendment
}

// tokenState is what those transactions change.
type tokenState struct {
	Heartbeats, Wrong, Expired int64
	Contracts, Size            int64
	LastDue                    int64
	Uptime                     uptimeRow
	Day                        openDay
}

var stateColumns = []string{
	"heartbeats", "wrong", "expired", "contracts", "size", "last_due", "up_since", "up_start", "up_end", "up_before",
	"day", "day_heartbeats", "day_wrong", "day_online",
}

// lockedColumns are those of lockedToken.
var lockedColumns = "id, address_id, key_id, ip, " + strings.Join(stateColumns, ", ")

func (c *tokenState) values() []value {
	return integers(
		c.Heartbeats, c.Wrong, c.Expired, c.Contracts, c.Size, c.LastDue,
		c.Uptime.UpSince, c.Uptime.UpStart, c.Uptime.UpEnd, c.Uptime.UpBefore,
		c.Day.Day, c.Day.Heartbeats, c.Day.Wrong, c.Day.Online,
	)
}

func (c *tokenState) pointers() []any {
	return []any{
		&c.Heartbeats, &c.Wrong, &c.Expired, &c.Contracts, &c.Size, &c.LastDue,
		&c.Uptime.UpSince, &c.Uptime.UpStart, &c.Uptime.UpEnd, &c.Uptime.UpBefore,
		&c.Day.Day, &c.Day.Heartbeats, &c.Day.Wrong, &c.Day.Online,
	}
}

// scan reads a row of the lockedColumns.
func (t *lockedToken) scan(rows *sql.Rows) error {
	err := rows.Scan(append([]any{&t.ID, &t.AddressID, &t.KeyID, &t.IP}, t.pointers()...)...)
	t.read = t.tokenState
	return err
}

// lockTokens locks the tokens with these ids, in id order; those that are gone
// are missing from what it returns.
func (s *Store) lockTokens(tx *gorm.DB, ids []int64) (map[int64]*lockedToken, error) {
	tokens := make(map[int64]*lockedToken, len(ids))
	for batch := range slices.Chunk(distinct(ids), batchRows) {
		err := query(tx, func(rows *sql.Rows) error {
			t := &lockedToken{}
			err := t.scan(rows)
			tokens[t.ID] = t
			return err
		}, "SELECT "+lockedColumns+" FROM tokens"+s.dialect.byID+
			" WHERE id IN ("+placeholders(len(batch))+") ORDER BY id"+s.dialect.forUpdate, anys(batch)...)
		if err != nil {
			return nil, err
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

// saveTokens writes back what transactions change on locked tokens, stamps
// them, and writes what the record has to know of it.
func (s *Store) saveTokens(tx *gorm.DB, tokens []*lockedToken) error {
	changes := make([]change, len(tokens))
	for i, t := range tokens {
		changes[i] = change{id: t.ID, old: t.read.values(), new: t.values()}
	}
	counting := updating{table: "tokens", columns: stateColumns, always: "changed = " + s.dialect.clock}
	if _, err := s.update(tx, counting, changes); err != nil {
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
		err := query(tx, func(rows *sql.Rows) error {
			row := &contractRow{}
			err := row.scan(rows)
			found[row.ID] = row
			return err
		}, "SELECT "+contractColumns+" FROM contracts"+s.dialect.byID+
			" WHERE id IN ("+placeholders(len(batch))+") ORDER BY id"+s.dialect.forUpdate, anys(batch)...)
		if err != nil {
			return nil, err
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
