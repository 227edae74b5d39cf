package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// Key identifies a heartbeat key by its fingerprint. The database does not contain
// the secret of the heartbeat key.
type Key struct {
	Fingerprint string
	Type        string
	// Public is what farmers see of the key. A key can replace another one only if farmers
	// do not notice it.
	Public string
	// Compromised is set if the key may be known outside the node.
	Compromised bool
}

// KeyRecord is what the database contains of a heartbeat key.
type KeyRecord struct {
	ID          int64
	Fingerprint string
	Type        string
	Created     time.Time
	Shared      bool      // all processes had the key at one time, so it may encode files
	Successor   int64     // the id of the key that replaces it, or 0
	Need        int64     // contracts that still need a replaced key, or -1 if not counted yet
	Retired     time.Time // when no row referred to the key any more; zero before
	Compromised bool
}

// KeyState says which part of its life a heartbeat key is in.
type KeyState string

// The states of a heartbeat key.
const (
	KeyNew      KeyState = "new"      // not all processes have the key yet
	KeyActive   KeyState = "active"   // the key may encode files
	KeyRetiring KeyState = "retiring" // another key replaces it, and rows still refer to it
	KeyRetired  KeyState = "retired"  // no row refers to it, and no process needs it
)

// State returns the key's state.
func (k KeyRecord) State() KeyState {
	switch {
	case !k.Retired.IsZero():
		return KeyRetired
	case k.Successor != 0:
		return KeyRetiring
	case !k.Shared:
		return KeyNew
	}
	return KeyActive
}

// Needed reports whether rows may refer to the key, so that every process must have it. No row
// refers to a new key, and a process without it keeps it from becoming active.
func (k KeyRecord) Needed() bool {
	state := k.State()
	return state != KeyNew && state != KeyRetired
}

// Keys lists the heartbeat keys of the database in the order of their registration.
func (s *Store) Keys(ctx context.Context) (keys []KeyRecord, err error) {
	defer wrap(&err, "list heartbeat keys")
	return selectKeys(s.reader(ctx), "")
}

func selectKeys(t *tx, where string, args ...any) (keys []KeyRecord, err error) {
	err = t.query(func(rows *sql.Rows) error {
		var k KeyRecord
		var created, retired int64
		err := rows.Scan(&k.ID, &k.Fingerprint, &k.Type, &created, &k.Shared, &k.Successor, &k.Need, &retired, &k.Compromised)
		k.Created, k.Retired = moment(created), moment(retired)
		keys = append(keys, k)
		return err
	}, "SELECT id, fingerprint, type, created, shared, successor, need, retired, compromised FROM heartbeat_keys "+where+" ORDER BY created, id", args...)
	return keys, err
}

// processAlive is how long after its last beat a process counts as alive.
const processAlive = 30 * time.Second

// RegisterKeys adds the node's heartbeat keys to the database and returns their records
// in the same order. It returns ErrKeyMissing if the node lacks a heartbeat key that the
// database needs, because the contracts of that key could not be verified.
//
// process has the keys; it is nil if the caller verifies and encodes nothing. A key becomes
// active when all processes that are alive have it. Then it replaces the keys after it in the
// list with the same public part. A key that was replaced never becomes active again.
func (s *Store) RegisterKeys(ctx context.Context, keys []Key, process *Process, now time.Time) (records []KeyRecord, err error) {
	defer wrap(&err, "register heartbeat keys")
	return transact(ctx, s, func(t *tx) ([]KeyRecord, error) {
		if err := s.lock(t, keysLock); err != nil {
			return nil, err
		}
		known, err := selectKeys(t, "")
		if err != nil {
			return nil, err
		}
		if err := missingKeys(t, known, keys); err != nil {
			return nil, err
		}
		records, err := addKeys(t, known, keys, now)
		if err != nil {
			return nil, err
		}
		if process != nil {
			list := ","
			for _, k := range records {
				list += fmt.Sprint(k.ID, ",")
			}
			if len(list) > 1024 {
				return nil, fmt.Errorf("%d heartbeat keys are too many; remove the retired ones", len(keys))
			}
			if err := t.exec("INSERT INTO processes (name, kind, seen, key_ids) VALUES (?, ?, "+s.dialect.clock+", ?)"+s.dialect.orSet("name", "key_ids"),
				process.name, process.kind, list); err != nil {
				return nil, err
			}
		}
		if err := s.shareKeys(t, records); err != nil {
			return nil, err
		}
		return records, replaceKeys(t, records, keys)
	})
}

// missingKeys returns ErrKeyMissing if a known key is needed and not given.
func missingKeys(t *tx, known []KeyRecord, given []Key) error {
	var missing []error
	for _, k := range known {
		has := slices.ContainsFunc(given, func(g Key) bool { return g.Fingerprint == k.Fingerprint && g.Type == k.Type })
		if has || !k.Needed() {
			continue
		}
		contracts, err := t.number("SELECT COUNT(*) FROM contracts WHERE key_id = ? AND live = 1", k.ID)
		if err != nil {
			return err
		}
		missing = append(missing, fmt.Errorf("%w: %s %s, which %s need", ErrKeyMissing, k.Type, k.Fingerprint, node.Counted(contracts, "contract")))
	}
	return errors.Join(missing...)
}

// addKeys returns the records of the given keys. It adds those that are not known.
func addKeys(t *tx, known []KeyRecord, given []Key, now time.Time) ([]KeyRecord, error) {
	records := make([]KeyRecord, len(given))
	for i, key := range given {
		at := slices.IndexFunc(known, func(k KeyRecord) bool { return k.Fingerprint == key.Fingerprint })
		if at < 0 {
			id, err := t.insertID("INSERT INTO heartbeat_keys (fingerprint, type, created, shared) VALUES (?, ?, ?, 0)", key.Fingerprint, key.Type, micros(now))
			if err != nil {
				return nil, err
			}
			at = len(known)
			known = append(known, KeyRecord{ID: id, Fingerprint: key.Fingerprint, Type: key.Type, Created: cut(now), Need: -1})
		}
		if k := &known[at]; key.Compromised && !k.Compromised {
			if err := t.exec("UPDATE heartbeat_keys SET compromised = 1 WHERE id = ?", k.ID); err != nil {
				return nil, err
			}
			k.Compromised = true
		}
		records[i] = known[at]
	}
	return records, nil
}

// shareKeys marks the keys that all processes have.
func (s *Store) shareKeys(t *tx, records []KeyRecord) error {
	for i := range records {
		k := &records[i]
		if k.Shared {
			continue
		}
		without, err := t.number("SELECT COUNT(*) FROM processes WHERE kind IN (?, ?, ?) AND seen > "+s.dialect.clock+" - ? AND key_ids NOT LIKE ?",
			KindAPI, KindWorker, KindStandalone, processAlive.Microseconds(), fmt.Sprintf("%%,%d,%%", k.ID))
		if err != nil || without > 0 {
			return err
		}
		if err := t.exec("UPDATE heartbeat_keys SET shared = 1 WHERE id = ?", k.ID); err != nil {
			return err
		}
		k.Shared = true
	}
	return nil
}

// ActiveKey returns the index of the key for new files in the list of a process, or -1.
func ActiveKey(records []KeyRecord) int {
	return slices.IndexFunc(records, func(k KeyRecord) bool { return k.State() == KeyActive })
}

// Replaces reports whether the active key must replace another key of the list.
func Replaces(records []KeyRecord, keys []Key, at int) bool {
	active := ActiveKey(records)
	return active >= 0 && active < at && records[at].State() == KeyActive && records[at].ID != records[active].ID &&
		keys[at].Type == keys[active].Type && keys[at].Public == keys[active].Public
}

// replaceKeys sets the successors of the keys that the active key replaces.
func replaceKeys(t *tx, records []KeyRecord, keys []Key) error {
	for at := range records {
		if !Replaces(records, keys, at) {
			continue
		}
		k, successor := &records[at], records[ActiveKey(records)].ID
		if err := t.exec("UPDATE heartbeat_keys SET successor = ? WHERE id = ?", successor, k.ID); err != nil {
			return err
		}
		k.Successor = successor
	}
	return nil
}

// Compromise marks these keys as compromised: other people may know them.
func (s *Store) Compromise(ctx context.Context, ids []int64) (err error) {
	defer wrap(&err, "mark heartbeat keys as compromised")
	return s.transaction(ctx, func(t *tx) error {
		return t.exec("UPDATE heartbeat_keys SET compromised = 1 WHERE id IN " + idList(ids))
	})
}

// Replacement is the replacement of a heartbeat key by another one.
type Replacement struct {
	Old, New int64
	// MoveTokens says that farmers get chunks of the new key from now on, and that the chunks
	// of the old key are deleted.
	MoveTokens bool
	// Reseal turns a contract's state into a state of the new key. It is nil if contracts
	// keep the old key until they end.
	Reseal func(state []byte) ([]byte, error)
}

// replaceRows limits the rows of one step of ReplaceKey.
const replaceRows = 500

// ReplaceKey moves the rows of the old key to the new key, and returns how many contracts still need
// the old key. If no row refers to it any more, the old key is retired. Several processes may call it at the same
// time. It changes a contract only if no other transaction has changed it meanwhile; the
// next call changes the others.
func (s *Store) ReplaceKey(ctx context.Context, r Replacement, now time.Time) (need int64, err error) {
	defer wrap(&err, "replace heartbeat key %d by %d", r.Old, r.New)
	if r.MoveTokens {
		for _, table := range []string{"tokens", "contents"} {
			if err := s.moveToKey(ctx, r, table); err != nil {
				return 0, err
			}
		}
		if _, err := s.clearChunks(ctx, "WHERE key_id = ?", r.Old); err != nil {
			return 0, err
		}
	}
	if r.Reseal != nil {
		if err := s.resealContracts(ctx, r); err != nil {
			return 0, err
		}
	}
	return transact(ctx, s, func(t *tx) (int64, error) {
		if err := s.lock(t, keysLock); err != nil {
			return 0, err
		}
		need, err := t.number("SELECT COUNT(*) FROM contracts WHERE key_id = ? AND live = 1", r.Old)
		if err != nil {
			return 0, err
		}
		rest := int64(0)
		for _, table := range []string{"tokens", "contents", "chunks", "reservations"} {
			n, err := t.number("SELECT COUNT(*) FROM "+table+" WHERE key_id = ?", r.Old)
			if err != nil {
				return 0, err
			}
			rest += n
		}
		retired := int64(0)
		if need+rest == 0 {
			retired = micros(now)
		}
		return need, t.exec("UPDATE heartbeat_keys SET need = ?, retired = ? WHERE id = ? AND successor > 0 AND retired = 0", need, retired, r.Old)
	})
}

// moveToKey moves the rows of a table to the new key.
func (s *Store) moveToKey(ctx context.Context, r Replacement, table string) error {
	for {
		ids, err := s.reader(ctx).numbers("SELECT id FROM "+table+" WHERE key_id = ? LIMIT ?", r.Old, replaceRows)
		if err != nil {
			return err
		}
		_, err = inBatches(ctx, s, ids, func(t *tx, batch []int64) error {
			return t.exec("UPDATE "+table+" SET key_id = ? WHERE key_id = ? AND id IN "+idList(batch), r.New, r.Old)
		})
		if err != nil || len(ids) < replaceRows {
			return err
		}
	}
}

// resealContracts moves the live contracts to the new key. An ended contract needs no key: a
// verdict can still make it live, but only within sweep.grace, as long as the processes keep the old key.
func (s *Store) resealContracts(ctx context.Context, r Replacement) error {
	columns := append(contractTable.only("id", "key_id", "state"), contractGuards...)
	u := updating[contractRow]{table: contractTable.name, columns: contractTable.only("key_id", "state", "version"), guards: contractGuards}
	for after := int64(0); ; {
		rows, err := selectRows(s.reader(ctx), columns,
			"FROM contracts"+s.dialect.byID+" WHERE id > ? AND key_id = ? AND live = 1 ORDER BY id LIMIT ?", after, r.Old, replaceRows)
		if err != nil || len(rows) == 0 {
			return err
		}
		after = rows[len(rows)-1].ID
		changes := make([]change[contractRow], len(rows))
		for i := range rows {
			resealed := rows[i]
			if resealed.State, err = r.Reseal(rows[i].State); err != nil {
				return fmt.Errorf("contract %d: %w", rows[i].ID, err)
			}
			resealed.KeyID = r.New
			resealed.Version++
			changes[i] = change[contractRow]{rows[i].ID, &rows[i], &resealed}
		}
		if _, err := inBatches(ctx, s, changes, func(t *tx, batch []change[contractRow]) error {
			_, err := update(t, s.dialect, u, batch)
			return err
		}); err != nil {
			return err
		}
	}
}

// ShortKey is the beginning of a fingerprint, as people name a key.
func ShortKey(fingerprint string) string { return fingerprint[:min(12, len(fingerprint))] }

// FindKey returns the only key whose fingerprint begins with prefix.
func FindKey(keys []KeyRecord, prefix string) (KeyRecord, error) {
	var found []KeyRecord
	for _, k := range keys {
		if prefix != "" && strings.HasPrefix(k.Fingerprint, strings.ToLower(prefix)) {
			found = append(found, k)
		}
	}
	if len(found) != 1 {
		return KeyRecord{}, fmt.Errorf("%d heartbeat keys have a fingerprint that begins with %q; `keys list` shows all keys", len(found), prefix)
	}
	return found[0], nil
}
