package store

import (
	"context"
	"database/sql"
	"errors"
	"io"
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

func TestClassify(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want error
	}{
		{mysql.ErrInvalidConn, ErrUnavailable},
		{io.ErrUnexpectedEOF, ErrUnavailable},
		{context.DeadlineExceeded, ErrUnavailable},
		{context.DeadlineExceeded, context.DeadlineExceeded},
		{&mysql.MySQLError{Number: 1290}, ErrUnavailable},
		{&mysql.MySQLError{Number: 1205}, ErrUnavailable},
		{&mysql.MySQLError{Number: 1040}, ErrUnavailable},
		{gorm.ErrRecordNotFound, ErrNotFound},
		{sql.ErrNoRows, ErrNotFound},
		{ErrTooManyTokens, ErrTooManyTokens},
	} {
		err := c.err
		wrap(&err, "do %s", "this")
		wantErr(t, err, c.want)
	}
	for _, err := range []error{context.Canceled, &mysql.MySQLError{Number: 1064}, ErrFileExists} {
		wrap(&err, "do this")
		if errors.Is(err, ErrUnavailable) {
			t.Errorf("%v matches ErrUnavailable", err)
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

// outage is longer than all attempts of the store together.
const outage = 700 * time.Millisecond

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
		time.Sleep(8 * outage) // each attempt waits for its timeout
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
