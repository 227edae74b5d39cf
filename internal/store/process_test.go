package store

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/testenv"
)

// beat beats and returns the incarnation.
func beat(t testing.TB, p *Process) string {
	t.Helper()
	incarnation, err := p.Beat(t.Context())
	must(t, err)
	if incarnation == "" {
		t.Fatal("no incarnation")
	}
	return incarnation
}

// All processes must notice that the database was set back to an earlier state, and must agree
// on a new incarnation.
func TestBeatNoticesThatTheDatabaseWentBack(t *testing.T) {
	tests := []struct {
		name    string
		fault   []string // statements; MARK is the first incarnation
		changed bool
	}{
		{"nothing happened", nil, false},
		{"the rows are older", []string{"UPDATE processes SET seen = seen - 1"}, true},
		{"the rows are missing", []string{"DELETE FROM processes"}, true},
		{"one row is missing", []string{"DELETE FROM processes WHERE name = 'one'"}, true},
		{"the incarnation is missing", []string{"DELETE FROM settings"}, true},
		{"an earlier incarnation returned", []string{"UPDATE settings SET value = 'MARK' WHERE name = 'incarnation'"}, true},
		{"everything is older", []string{"UPDATE processes SET seen = 1", "UPDATE settings SET value = 'MARK' WHERE name = 'incarnation'"}, true},
		{"a write had an unknown outcome", []string{"UPDATE processes SET seen = seen + 5"}, false},
	}
	onEach(t, func(t *testing.T, f *fixture) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				one, two := f.NewProcess("one", "api"), openStore(t, f.cfg).NewProcess("two", "worker")
				first := beat(t, one)
				if beat(t, two) != first {
					t.Fatal("two processes see different incarnations")
				}
				must(t, f.Restored(t.Context()))
				before := beat(t, one)
				if before == first || beat(t, two) != before {
					t.Fatalf("incarnations %s and %s, %s before Restored", before, beat(t, two), first)
				}
				for _, text := range tt.fault {
					must(t, f.write.Exec(strings.ReplaceAll(text, "MARK", first)).Error)
				}
				after := beat(t, one)
				if changed := after != before; changed != tt.changed || after == first {
					t.Errorf("incarnation %s, before %s and %s", after, first, before)
				}
				if other := beat(t, two); other != after {
					t.Errorf("the other process sees %s, not %s", other, after)
				}
				for range 2 {
					if again := beat(t, one); again != after || beat(t, two) != after {
						t.Errorf("the incarnation changes again, to %s", again)
					}
				}
			})
		}
	})
}

// The table keeps one row for each process, and the sweeper deletes the rows of
// processes that have ended.
func TestProcessRowsAreBounded(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		for i := range 3 {
			p := f.NewProcess(fmt.Sprintf("process %d", i), "api")
			for range 3 {
				beat(t, p)
			}
		}
		must(t, f.write.Exec("UPDATE processes SET seen = seen - ? WHERE name = 'process 1'", 2*processKept.Microseconds()).Error)
		_, err := f.CleanContracts(t.Context(), 0, start)
		must(t, err)
		if n := f.count(t, "processes", "kind = 'api' AND name <> 'process 1'"); n != 2 {
			t.Errorf("%d rows of running processes, want 2", n)
		}
		if n := f.count(t, "processes", "name = 'process 1'"); n != 0 {
			t.Error("the row of a process that has ended is still there")
		}
	})
}

// If the database does not accept writes, Beat must return the database's own words.
func TestBeatReturnsTheDatabasesWords(t *testing.T) {
	t.Parallel()
	t.Run("server is read-only", func(t *testing.T) {
		t.Parallel()
		m := testenv.StartMariaDB(t, testenv.Fast)
		cfg := config.Default[Config]()
		cfg.Driver, cfg.DSN = MySQL, config.Secret(m.NewDatabase(t))
		s := openStore(t, cfg)
		must(t, s.Migrate(t.Context()))
		p := s.NewProcess("one", "api")
		beat(t, p)
		m.SetReadOnly(t, true)
		wantBeatError(t, p, "--read-only option")
		must(t, s.Ping(t.Context()))
		m.SetReadOnly(t, false)
		beat(t, p)
	})
	t.Run("file is read-only", func(t *testing.T) {
		t.Parallel()
		s := openStore(t, Config{Driver: SQLite, Path: filepath.Join(t.TempDir(), "node.db")})
		must(t, s.Migrate(t.Context()))
		p := s.NewProcess("one", "api")
		beat(t, p)
		must(t, s.write.Exec("PRAGMA query_only = 1").Error)
		wantBeatError(t, p, "attempt to write a readonly database")
		must(t, s.write.Exec("PRAGMA query_only = 0").Error)
		beat(t, p)
	})
}

// A SQLite database on a disk that is nearly full is not ready, although small writes
// still succeed.
func TestRoomOnTheDisk(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		must(t, f.checkRoom(1))
		err := f.checkRoom(math.MaxUint64)
		if sqlite := f.cfg.Driver == SQLite; sqlite != (err != nil) || sqlite && !strings.Contains(err.Error(), "free some space") {
			t.Errorf("error %v", err)
		}
	})
}

func wantBeatError(t *testing.T, p *Process, words string) {
	t.Helper()
	_, err := p.Beat(t.Context())
	wantErr(t, err, ErrUnavailable)
	if !strings.Contains(err.Error(), words) {
		t.Errorf("%v does not contain %q", err, words)
	}
}
