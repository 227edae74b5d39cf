package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"gorm.io/gorm"

	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/testenv"
)

// Two transactions lock the same rows in opposite orders. The database ends one
// transaction, and the store repeats that transaction.
func TestDeadlockIsRetried(t *testing.T) {
	t.Parallel()
	f := newFixture(t, MySQL)
	a, b := f.token(t, "a"), f.token(t, "b")
	var runs atomic.Int64
	var both sync.WaitGroup // until the first run of both transactions holds one lock
	both.Add(2)
	swap := func(first, second Token) error {
		run := 0
		return f.transaction(t.Context(), func(tx *tx) error {
			run++
			runs.Add(1)
			for i, token := range []Token{first, second} {
				if _, err := f.lockToken(tx, token.ID); err != nil {
					return err
				}
				if run == 1 && i == 0 {
					both.Done()
					both.Wait()
				}
			}
			return tx.exec("UPDATE tokens SET heartbeats = heartbeats + 1")
		})
	}
	var wg sync.WaitGroup
	for _, order := range [][2]Token{{a, b}, {b, a}} {
		wg.Go(func() {
			if err := swap(order[0], order[1]); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if runs.Load() != 3 {
		t.Errorf("%d runs of two transactions, want 3", runs.Load())
	}
	if n := f.farmer(t, a, start).Heartbeats; n != 2 {
		t.Errorf("%d updates, want 2", n)
	}
}

func TestTransactionGivesUp(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		runs := 0
		err := f.transaction(t.Context(), func(*tx) error {
			runs++
			return &mysql.MySQLError{Number: 1213, Message: "deadlock"}
		})
		if runs != attempts {
			t.Errorf("%d runs, want %d", runs, attempts)
		}
		wantErr(t, classify(err), ErrUnavailable)

		runs = 0
		other := errors.New("not from the database")
		err = f.transaction(t.Context(), func(*tx) error { runs++; return other })
		if runs != 1 || err != other {
			t.Errorf("%d runs, %v", runs, err)
		}

		ctx, cancel := context.WithCancel(t.Context())
		err = f.transaction(ctx, func(*tx) error {
			cancel()
			return &mysql.MySQLError{Number: 1213}
		})
		wantErr(t, err, context.Canceled)
	})
}

// The database ends a transaction, and its function ignores the error. Later statements
// must not run outside of the transaction, and nothing may be committed.
func TestEndedTransactionIsNotCommitted(t *testing.T) {
	t.Parallel()
	f := newFixture(t, MySQL)
	for _, pipelined := range []bool{false, true} {
		runs := 0
		err := f.repeat(t.Context(), pipelined, func(tx *tx) error {
			runs++
			must(t, tx.exec("INSERT INTO ips (ip) VALUES ('before')"))
			if _, err := tx.numbers("SELECT 1 FROM ips FOR UPDATE"); err != nil {
				t.Error(err)
			}
			_, _ = tx.execCount("SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213")
			_, _ = tx.execCount("INSERT INTO ips (ip) VALUES ('after')")
			return nil
		})
		if runs != attempts || !isTransient(err) {
			t.Errorf("pipelined %t: %d runs, %v; want %d and a transient error", pipelined, runs, err, attempts)
		}
		if n := f.count(t, "ips", "1 = 1"); n != 0 {
			t.Errorf("pipelined %t: %d rows, want none", pipelined, n)
		}
	}
}

// A panic in a transaction must release its locks.
func TestPanicReleasesLocks(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		token := f.token(t, "address")
		func() {
			defer func() { _ = recover() }()
			_ = f.transaction(t.Context(), func(tx *tx) error {
				_, _ = f.lockToken(tx, token.ID)
				panic("a defect")
			})
		}()
		must(t, f.DeleteToken(t.Context(), token.FarmerID, start))
	})
}

// SQLite refuses a write if another process holds the write lock for too long. The
// store must return ErrUnavailable, so that the caller may retry.
func TestSQLiteBusy(t *testing.T) {
	t.Parallel()
	f := newFixture(t, SQLite)
	other := openStore(t, f.cfg)
	conn, err := other.write.pool.Conn(t.Context())
	must(t, err)
	_, err = conn.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	must(t, err)
	_, err = f.write.pool.Exec("PRAGMA busy_timeout = 1")
	must(t, err)
	wantErr(t, f.AllowAddress(t.Context(), Listed{Address: "a"}), ErrUnavailable)
	go func() {
		time.Sleep(10 * time.Millisecond)
		_, _ = conn.ExecContext(context.Background(), "ROLLBACK")
	}()
	must(t, f.AllowAddress(t.Context(), Listed{Address: "a"}))
	must(t, conn.Close())
}

// An error of the database means "try again", unless the row or the statement is at
// fault or the error is not of the database.
func TestClassify(t *testing.T) {
	t.Parallel()
	server := func(number uint16) error { return &mysql.MySQLError{Number: number} }
	broken := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	for _, c := range []struct {
		name string
		err  error
		kind errorKind
		want error // nil if the error matches none of the store's errors
	}{
		{"connection broken", mysql.ErrInvalidConn, lost, ErrUnavailable},
		{"connection ended early", io.ErrUnexpectedEOF, lost, ErrUnavailable},
		{"malformed packet", mysql.ErrMalformPkt, lost, ErrUnavailable},
		{"server unreachable", broken, lost, ErrUnavailable},
		{"certificate not accepted", &connectError{errors.New("x509: unknown authority")}, lost, ErrUnavailable},
		{"server down", server(1053), lost, ErrUnavailable},
		{"Galera node cut off", server(1047), lost, ErrUnavailable},
		{"server read-only", server(1290), lost, ErrUnavailable},
		{"time limit of the caller", context.DeadlineExceeded, other, ErrUnavailable},
		{"lock timeout", server(1205), transient, ErrUnavailable},
		{"deadlock", server(1213), transient, ErrUnavailable},
		{"too many connections", server(1040), unable, ErrUnavailable},
		{"disk full", server(1021), unable, ErrUnavailable},
		{"password being changed", server(1045), unable, ErrUnavailable},
		{"table being restored", server(1146), unable, ErrUnavailable},
		{"binary log refuses", server(1665), unable, ErrUnavailable},
		{"encryption key missing", server(3185), unable, ErrUnavailable},
		{"number that no list has", server(65000), unable, ErrUnavailable},
		{"no row", sql.ErrNoRows, other, ErrNotFound},
		{"no row, says gorm", gorm.ErrRecordNotFound, other, ErrNotFound},
		{"a result", ErrTooManyTokens, other, ErrTooManyTokens},
		{"caller gone", context.Canceled, other, context.Canceled},
		{"not of the database", ErrFileExists, other, ErrFileExists},
		{"syntax", server(1064), rejected, nil},
		{"value too long", server(1406), rejected, nil},
		{"value out of range", server(1264), rejected, nil},
		{"value of the wrong form", server(1366), rejected, nil},
		{"foreign key", server(1452), rejected, nil},
		{"statement too large", server(1153), rejected, nil},
		{"packet too large", mysql.ErrPktTooLarge, rejected, nil},
		{"duplicate", server(1062), duplicate, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, err := range []error{c.err, fmt.Errorf("with context: %w", c.err)} {
				if kind := kindOf(err); kind != c.kind {
					t.Errorf("kind %d, want %d", kind, c.kind)
				}
				wrap(&err, "do %s", "this")
				if c.want != nil {
					wantErr(t, err, c.want)
				} else if errors.Is(err, ErrUnavailable) {
					t.Errorf("%v matches ErrUnavailable", err)
				}
				if c.want != ErrNotFound { // which replaces the error
					wantErr(t, err, c.err)
				}
			}
		})
	}
}

// SQLite's errors come from SQLite, because the driver does not let others make them.
func TestClassifySQLite(t *testing.T) {
	t.Parallel()
	f := newFixture(t, SQLite)
	token := f.token(t, "address")
	for _, c := range []struct {
		name, text string
		kind       errorKind
	}{
		{"syntax", "SELEKT 1", rejected},
		{"no such table", "SELECT 1 FROM nothing", rejected},
		{"foreign key", "INSERT INTO tags (file_id, part, content) VALUES (99, 0, x'00')", rejected},
		{"no value", "INSERT INTO ips (ip) VALUES (NULL)", rejected},
		{"duplicate", fmt.Sprintf("UPDATE tokens SET hash = (SELECT hash FROM tokens WHERE id = %d) WHERE id <> %[1]d", token.ID), duplicate},
		{"file full", "PRAGMA max_page_count = 1; INSERT INTO settings (name, value) VALUES ('big', zeroblob(10000000))", unable},
		{"file read-only", "PRAGMA query_only = 1; DELETE FROM ips", unable},
	} {
		f.token(t, "address")
		_, err := f.write.pool.Exec(c.text)
		if kind := kindOf(err); kind != c.kind {
			t.Errorf("%s: kind %d of %v, want %d", c.name, kind, err, c.kind)
		}
		if unavailable := errors.Is(classify(err), ErrUnavailable); unavailable != (c.kind == unable) {
			t.Errorf("%s: %v", c.name, classify(err))
		}
	}
}

// workUnderFaults commits verdicts during faults of the server. It checks that
// every verdict that Commit reported is stored once.
func workUnderFaults(t *testing.T, fault func(m *testenv.MariaDB)) {
	t.Helper()
	t.Parallel()
	const contracts = 400
	m := testenv.StartMariaDB(t, testenv.Durable)
	cfg := config.Default[Config]()
	cfg.Driver, cfg.DSN = MySQL, config.Secret(m.NewDatabase(t))
	f := &fixture{Store: openStore(t, cfg), key: 1}
	must(t, f.Migrate(t.Context()))
	token := f.token(t, "address")
	out := f.contracts(t, token, start, slices.Repeat([]int64{1}, contracts)...)
	// With these timeouts the store notices a fault quickly.
	cfg.DSN += "?timeout=500ms&readTimeout=500ms&writeTimeout=500ms"
	f = &fixture{Store: openStore(t, cfg), key: 1}

	over := make(chan struct{})
	var accepted, refused int
	for i := 0; ; i++ {
		if i == contracts/4 {
			go func() {
				defer close(over)
				fault(m)
			}()
		}
		select {
		case <-over:
			if i >= contracts {
				f.checkVerdicts(t, token, contracts, accepted, refused)
				return
			}
		default:
		}
		// The test repeats the verdicts until the fault ends.
		for {
			judged, err := f.Commit(t.Context(), []Verdict{answer(token, out[i%contracts], true, start)}, 3)
			if err == nil && judged[0].Outcome.Accepted() {
				accepted++
				break
			}
			if !errors.Is(err, ErrUnavailable) {
				t.Fatalf("verdict %d: %v, %v", i, judged, err)
			}
			refused++
			time.Sleep(5 * time.Millisecond)
		}
	}
}

func (f *fixture) checkVerdicts(t *testing.T, token Token, contracts int64, accepted, refused int) {
	t.Helper()
	if n := f.farmer(t, token, start).Heartbeats; n != contracts {
		t.Errorf("%d heartbeats for %d contracts", n, contracts)
	}
	if n := f.count(t, "contracts", "answered = 1 AND version = 1"); n != contracts {
		t.Errorf("%d contracts answered once, of %d", n, contracts)
	}
	if refused == 0 {
		t.Error("no commit failed: the test proves nothing")
	}
	t.Logf("%d verdicts accepted, %d refused", accepted, refused)
}

// outage is longer than all attempts of the store together, of which the backoff takes up to
// 960 ms.
const outage = 1200 * time.Millisecond

func TestServerStopped(t *testing.T) {
	workUnderFaults(t, func(m *testenv.MariaDB) {
		m.Terminate(t)
		time.Sleep(outage)
		m.Start(t)
	})
}

func TestServerKilled(t *testing.T) {
	workUnderFaults(t, func(m *testenv.MariaDB) {
		m.Kill()
		time.Sleep(outage)
		m.Start(t)
	})
}

func TestServerReadOnly(t *testing.T) {
	workUnderFaults(t, func(m *testenv.MariaDB) {
		m.SetReadOnly(t, true)
		time.Sleep(outage)
		m.SetReadOnly(t, false)
	})
}

func TestServerHangs(t *testing.T) {
	workUnderFaults(t, func(m *testenv.MariaDB) {
		m.Pause()
		time.Sleep(6 * outage) // each attempt also waits for its timeout of 500 ms
		m.Resume()
	})
}

// If a database file cannot be written, the store returns ErrUnavailable.
func TestSQLiteReadOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "node.db")
	s := openStore(t, Config{Driver: SQLite, Path: path})
	must(t, s.Migrate(t.Context()))
	_, err := s.write.pool.Exec("PRAGMA query_only = 1")
	must(t, err)
	wantErr(t, s.AllowAddress(t.Context(), Listed{Address: "a"}), ErrUnavailable)
	must(t, s.Ping(t.Context()))
}
