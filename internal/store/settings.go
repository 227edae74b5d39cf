package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"fmt"
	"time"
)

// The names of the rows in settings. Some rows hold a value, some are only locks.
const (
	ipHashKeySetting = "ip_hash_key"
	ownerSetting     = "owner"
	keysLock         = "lock_heartbeat_keys"
	whitelistLock    = "lock_whitelist"
	inventoryLock    = "lock_inventory"
	recordLock       = "lock_record"
)

// turnPrefix begins the name of the row that holds the time of a turn.
const turnPrefix = "turn_"

const ipHashKeyBytes = 32

// IPHashKey returns the key for node.IPHash: 32 random bytes, created on first
// use and never changed.
func (s *Store) IPHashKey(ctx context.Context) (key []byte, err error) {
	defer wrap(&err, "read IP hash key")
	if key, err = ipHashKey(s.reader(ctx)); key != nil || err != nil {
		return key, err
	}
	fresh := make([]byte, ipHashKeyBytes)
	rand.Read(fresh)
	return transact(ctx, s, func(t *tx) ([]byte, error) {
		// If another process was first, this statement waits for that process and
		// leaves its key unchanged.
		if err := s.insertOrLockSetting(t, ipHashKeySetting, fresh); err != nil {
			return nil, err
		}
		return ipHashKey(t)
	})
}

func ipHashKey(t *tx) ([]byte, error) {
	key, err := setting(t, ipHashKeySetting)
	if err == nil && key != nil && len(key) != ipHashKeyBytes {
		err = fmt.Errorf("setting %s has %d bytes, not %d", ipHashKeySetting, len(key), ipHashKeyBytes)
	}
	return key, err
}

// setting returns the value with this name, or nil if there is none.
func setting(t *tx, name string) (value []byte, err error) {
	err = t.query(func(rows *sql.Rows) error { return rows.Scan(&value) }, "SELECT value FROM settings WHERE name = ?", name)
	return value, err
}

func (s *Store) insertOrLockSetting(t *tx, name string, value []byte) error {
	return t.exec("INSERT INTO settings (name, value) VALUES (?, ?)"+s.dialect.orLock("name"), name, value)
}

// lockSetting locks the row with this name, which is created on first use. A caller that
// depends on the lock must change the row; see the comment on lock.
func (s *Store) lockSetting(t *tx, name string) error {
	return s.insertOrLockSetting(t, name, []byte{})
}

// lock takes the lock with this name: a row in settings whose value means nothing. One
// transaction holds it at a time. Row locks of one node of a Galera cluster do not exist on
// the others, but if two transactions on different nodes change the same row, one of them
// fails. So a transaction that takes a lock also changes its row.
func (s *Store) lock(t *tx, name string) error {
	return t.exec("INSERT INTO settings (name, value) VALUES (?, ?)"+s.dialect.orSet("name", "value"), name, []byte(rand.Text()))
}

// lockNetwork takes the lock of a network. A transaction that also locks an SJCX
// address or a token must lock the network first.
func (s *Store) lockNetwork(t *tx, n network) error {
	return t.exec("INSERT INTO ips (ip) VALUES (?)"+s.dialect.orLock("ip"), n.name)
}

// changeLock changes the row of a locked network, because the transaction adds tokens or
// contracts to it; see the comment on lock. A transaction that adds nothing writes nothing.
func (n network) changeLock(t *tx) error {
	return t.exec("UPDATE ips SET taken = taken + 1 WHERE ip = ?", n.name)
}

// changeLocks changes the rows of everything whose limits count the owner's new contracts.
// Only Galera needs it, and a hand-out must be fast.
func (o *owner) changeLocks(t *tx, limits HandOutLimits) error {
	if !t.galera {
		return nil
	}
	if o.moves || limits.limitsUnproven() {
		if err := o.network.changeLock(t); err != nil {
			return err
		}
	}
	if limits.BytesPerAddress <= 0 && !limits.limitsUnproven() {
		return nil
	}
	return t.exec("UPDATE addresses SET taken = taken + 1 WHERE id = ?", o.AddressID)
}

// Now returns the time of the database's clock.
func (s *Store) Now(ctx context.Context) (now time.Time, err error) {
	defer wrap(&err, "read the database's clock")
	clock, err := s.reader(ctx).numbers("SELECT " + s.dialect.clock)
	if err != nil {
		return time.Time{}, err
	}
	return moment(clock[0]), nil
}

// TakeTurn is for work that one of all processes must do once in each interval. It
// reports whether the caller must do the work now. It holds no lock: if the process
// ends during the work, another process does the work in the next interval.
func (s *Store) TakeTurn(ctx context.Context, what string, each time.Duration, now time.Time) (taken bool, err error) {
	defer wrap(&err, "take the turn to %s", what)
	name := turnPrefix + what
	due, err := turnDue(s.reader(ctx), name, each, now)
	if err != nil || !due {
		return false, err
	}
	return transact(ctx, s, func(t *tx) (bool, error) {
		if err := s.lockSetting(t, name); err != nil {
			return false, err
		}
		if due, err := turnDue(t, name, each, now); err != nil || !due {
			return false, err
		}
		value := binary.BigEndian.AppendUint64(nil, uint64(micros(now)))
		return true, t.exec("UPDATE settings SET value = ? WHERE name = ?", value, name)
	})
}

// turnDue reports whether the last turn is at least one interval ago. It also
// returns true if the last turn is so far in the future that a clock must have been
// set back.
func turnDue(t *tx, name string, each time.Duration, now time.Time) (bool, error) {
	value, err := setting(t, name)
	if err != nil {
		return false, err
	}
	if len(value) != 8 {
		return true, nil // no process has taken a turn
	}
	since := now.Sub(moment(int64(binary.BigEndian.Uint64(value))))
	return since >= each || since < -each, nil
}
