package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Process is a process's own row in the database. The process updates the row every
// few seconds, which serves three purposes:
//
//   - It checks that the database accepts writes; see Beat.
//   - It notices that the database was set back to an earlier state: a restored backup, or a
//     replica that lacked the last writes when it became the primary. The row then
//     does not contain what the process wrote last.
//   - The table lists the processes that are alive.
type Process struct {
	store      *Store
	name, kind string

	mu    sync.Mutex
	seen  int64    // what the row contains; 0 before the first beat
	marks []string // incarnations of the database that this process has known; the last one is current
}

// processKept is how long the sweeper keeps the row of a process that has ended.
const processKept = time.Hour

// incarnationSetting is the name of the database's incarnation: random bytes that
// are replaced when the database was set back to an earlier state. Copies of rows that were
// made under another incarnation must not be used.
const incarnationSetting = "incarnation"

// The kinds of processes that take and judge proofs.
const (
	KindAPI        = "api"
	KindWorker     = "worker"
	KindStandalone = "standalone"
)

// NewProcess returns the row of this process. No other process may have its name.
// The row is written by Beat.
func (s *Store) NewProcess(name, kind string) *Process {
	return &Process{store: s, name: name, kind: kind}
}

// Kind returns what the process does.
func (p *Process) Kind() string { return p.kind }

// Beat writes the process's row and returns the database's incarnation. If the
// incarnation differs from that of the previous call, the database was set back to an
// earlier state, and the caller must drop all copies of rows.
func (p *Process) Beat(ctx context.Context) (incarnation string, err error) {
	defer wrap(&err, "write the row of process %s", p.name)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.store.checkRoom(leastRoom); err != nil {
		return "", err
	}
	now, mark, err := p.read(ctx)
	if err != nil {
		return "", err
	}
	back, err := p.write(ctx, max(now, p.seen+1))
	if err != nil {
		return "", err
	}
	current := p.current()
	// A mark that was replaced earlier can return with a backup.
	if back || mark == "" || mark != current && slices.Contains(p.marks, mark) {
		if mark, err = p.store.newIncarnation(ctx, p.marks); err != nil {
			return "", err
		}
	}
	if mark != current {
		p.marks = append(p.marks, mark)
		if current != "" && p.store.replica != nil {
			p.store.replica.fail(errSetBack)
		}
	}
	return mark, nil
}

func (p *Process) current() string {
	if len(p.marks) == 0 {
		return ""
	}
	return p.marks[len(p.marks)-1]
}

// read returns the database's time and its incarnation.
func (p *Process) read(ctx context.Context) (now int64, mark string, err error) {
	var value []byte
	err = p.store.reader(ctx).query(func(rows *sql.Rows) error { return rows.Scan(&now, &value) },
		"SELECT "+p.store.dialect.clock+", (SELECT value FROM settings WHERE name = ?)", incarnationSetting)
	return now, string(value), err
}

// write sets the row to now, if the row still contains what this process wrote last.
// If the row does not exist or is older, write reports that the database went
// back, and writes the row again. The row is newer if an earlier call returned an
// error although its write was committed.
func (p *Process) write(ctx context.Context, now int64) (back bool, err error) {
	back, err = transact(ctx, p.store, func(t *tx) (bool, error) {
		if p.seen > 0 {
			found, err := t.execCount("UPDATE processes SET seen = ? WHERE name = ? AND seen >= ?", now, p.name, p.seen)
			if err != nil || found > 0 {
				return false, err
			}
		}
		return p.seen > 0, t.exec("INSERT INTO processes (name, kind, seen) VALUES (?, ?, ?)"+p.store.dialect.orSet("name", "kind", "seen"),
			p.name, p.kind, now)
	})
	if err == nil {
		p.seen = now
	}
	return back, err
}

const (
	// lockProbeTimeout limits SkipsLocked.
	lockProbeTimeout = 10 * time.Second
	// lockProbeWait is how many seconds SkipsLocked waits for a lock.
	lockProbeWait = 1
)

// SkipsLocked reports whether a SELECT with SKIP LOCKED on one connection skips a row
// that another connection has locked. Some databases accept SKIP LOCKED and ignore it. Servers
// of a cluster do not skip the rows that are locked on another server. SkipsLocked locks
// the process's row, for which no other process waits. The caller must call Beat before,
// and not at the same time.
func (p *Process) SkipsLocked(ctx context.Context) (skips bool, err error) {
	defer wrap(&err, "check whether the database skips locked rows")
	s := p.store
	if s.cfg.Driver == SQLite {
		return true, nil // it has one writer at a time
	}
	// The probe needs two connections at once, and changes a setting of one.
	cfg := s.cfg
	cfg.MaxOpen = 2
	db, err := openMySQL(cfg, s.log)
	if err != nil {
		return false, err
	}
	defer db.pool.Close()
	ctx, cancel := context.WithTimeout(ctx, lockProbeTimeout)
	defer cancel()
	holder, err := db.pool.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer holder.Rollback()
	other, err := db.pool.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer other.Rollback()
	if _, err := other.ExecContext(ctx, "SET SESSION innodb_lock_wait_timeout = "+strconv.Itoa(lockProbeWait)); err != nil {
		return false, err
	}
	row := "SELECT seen FROM processes" + s.dialect.byID + " WHERE name = ?"
	var seen int64
	if err := holder.QueryRowContext(ctx, row+s.dialect.forUpdate, p.name).Scan(&seen); err != nil {
		return false, err
	}
	// Another server of a cluster may not have the row yet.
	if err := other.QueryRowContext(ctx, row, p.name).Scan(&seen); err != nil {
		return false, err
	}
	err = other.QueryRowContext(ctx, row+s.dialect.skipLocked, p.name).Scan(&seen)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return true, nil
	case isTransient(err): // it waited for the lock
		return false, nil
	}
	return false, err
}

// newIncarnation replaces the incarnation if it is one of known or if there is none.
// It returns the incarnation. Several processes that notice the same restore agree
// on one incarnation, because each process locks the row.
func (s *Store) newIncarnation(ctx context.Context, known []string) (string, error) {
	return transact(ctx, s, func(t *tx) (string, error) {
		if err := s.lockSetting(t, incarnationSetting); err != nil {
			return "", err
		}
		value, err := setting(t, incarnationSetting)
		if err != nil {
			return "", err
		}
		if mark := string(value); mark != "" && !slices.Contains(known, mark) {
			return mark, nil
		}
		return s.replaceIncarnation(t)
	})
}

// Restored declares that the database was restored from a backup: it replaces the
// incarnation, so that all processes drop their copies of rows.
func (s *Store) Restored(ctx context.Context) (err error) {
	defer wrap(&err, "replace the database's incarnation")
	return s.transaction(ctx, func(t *tx) error {
		if err := s.lockSetting(t, incarnationSetting); err != nil {
			return err
		}
		_, err := s.replaceIncarnation(t)
		return err
	})
}

// replaceIncarnation sets a new incarnation, and makes Repair's turn due. The caller
// must hold the lock of the incarnation.
func (s *Store) replaceIncarnation(t *tx) (string, error) {
	mark := rand.Text()[:10]
	if err := t.exec("UPDATE settings SET value = ? WHERE name = ?", []byte(mark), incarnationSetting); err != nil {
		return "", err
	}
	return mark, t.exec("DELETE FROM settings WHERE name = ?", turnPrefix+RepairTurn)
}

// deleteProcesses deletes the rows of processes that have ended. It keeps the latest
// report of each kind, because a fault begins with it.
func (s *Store) deleteProcesses(ctx context.Context) error {
	return s.transaction(ctx, func(t *tx) error {
		var names []any
		err := t.query(func(rows *sql.Rows) error {
			var name string
			err := rows.Scan(&name)
			names = append(names, name)
			return err
		}, "SELECT p.name FROM processes p WHERE p.seen < "+s.dialect.clock+" - ? AND (p.well = 0"+
			" OR EXISTS (SELECT 1 FROM processes o WHERE o.kind = p.kind AND o.well > p.well))", processKept.Microseconds())
		if err != nil || len(names) == 0 {
			return err
		}
		return t.exec("DELETE FROM processes WHERE name IN ("+placeholders(len(names))+")", names...)
	})
}
