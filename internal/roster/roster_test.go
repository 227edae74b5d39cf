package roster

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/glebarez/sqlite"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
	"github.com/driveshare/downstream-node/internal/testenv"
)

// fixture is a roster, its store, and a clock that the test sets.
type fixture struct {
	*Roster
	store *store.Store

	mu  sync.Mutex
	now time.Time
}

func newFixture(t *testing.T, opt Options) *fixture {
	t.Helper()
	st, err := store.Open(store.Config{Driver: store.SQLite, Path: filepath.Join(t.TempDir(), "node.db")}, slog.Default())
	must(t, err)
	t.Cleanup(func() { st.Close() })
	must(t, st.Migrate(t.Context()))
	_, err = st.RegisterKeys(t.Context(), []store.Key{{Fingerprint: "one", Type: "Merkle"}}, nil, start)
	must(t, err)
	f := &fixture{store: st, now: start}
	f.Roster = New(st, opt, slog.Default(), f.clock)
	return f
}

func (f *fixture) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fixture) pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func (f *fixture) join(t *testing.T) {
	t.Helper()
	must(t, f.store.CreateToken(t.Context(), store.NewToken{Hash: node.NewToken().Hash(), Address: "address", IP: "192.0.2.1", KeyID: 1},
		store.TokenLimits{}, start))
}

// farmers returns the number of farmers in a view.
func (f *fixture) farmers(t *testing.T) int64 {
	t.Helper()
	v, err := f.View(t.Context())
	must(t, err)
	return v.Summary().Farmers
}

var must = testenv.Must

func TestViewIsReadAgainAfterAge(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Options{Age: time.Minute})
	f.join(t)
	for _, step := range []struct {
		pass time.Duration
		want int64
	}{{0, 1}, {time.Second, 1}, {time.Minute, 2}} {
		f.pass(step.pass)
		if n := f.farmers(t); n != step.want {
			t.Errorf("after %v more: %d farmers, want %d", step.pass, n, step.want)
		}
		if step.pass == 0 {
			f.join(t)
		}
	}
}

// In a fault of the node, views state an earlier moment, and are as fresh as always.
func TestViewStatesAnEarlierMoment(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Options{Age: time.Minute, StatedAt: func(time.Time) time.Time { return start }})
	f.pass(time.Hour)
	v, err := f.View(t.Context())
	must(t, err)
	f.join(t)
	f.pass(time.Second)
	if again, err := f.View(t.Context()); err != nil || again != v || !v.Time.Equal(start) {
		t.Errorf("%v, error %v: want the same view, of %v", again.Time, err, start)
	}
	f.pass(time.Minute)
	if n := f.farmers(t); n != 1 {
		t.Errorf("%d farmers in the next view, want 1", n)
	}
}

func TestDatabaseCannotBeRead(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Options{Age: time.Second, Keep: time.Minute})
	f.join(t)
	if n := f.farmers(t); n != 1 {
		t.Fatalf("%d farmers", n)
	}
	must(t, f.store.Close())
	f.pass(time.Minute)
	if n := f.farmers(t); n != 1 {
		t.Errorf("%d farmers while the database is closed", n)
	}
	f.pass(time.Second)
	if _, err := f.View(t.Context()); err == nil {
		t.Error("no error for a view that is too old")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.View(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled call returned %v", err)
	}
}

// Calls that wait for one reading share it. With Age 0, a later call must not
// get an earlier reading.
func TestReadingsAreShared(t *testing.T) {
	t.Parallel()
	for _, age := range []time.Duration{0, time.Second} {
		t.Run(fmt.Sprint(age), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, Options{Age: age})
			f.reader <- struct{}{} // hold the lock, like a slow reading
			var views [8]*View
			var calls sync.WaitGroup
			for i := range views {
				calls.Go(func() {
					var err error
					if views[i], err = f.View(context.WithoutCancel(t.Context())); err != nil {
						t.Error(err)
					}
				})
			}
			time.Sleep(20 * time.Millisecond) // all calls wait now
			f.join(t)
			<-f.reader
			calls.Wait()
			for _, v := range views {
				if v != views[0] || v.Summary().Farmers != 1 {
					t.Errorf("a view of %d farmers, not the shared one", v.Summary().Farmers)
				}
			}
			f.join(t)
			if n := f.farmers(t); age == 0 && n != 2 {
				t.Errorf("%d farmers after the second joined, want 2", n)
			}
		})
	}
}

// Run refreshes the view, but stops if View is not called for the time idleAfter.
func TestRunKeepsFresh(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Options{Age: 20 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { f.Run(ctx) })
	fresh := func() bool {
		f.Roster.mu.Lock()
		defer f.Roster.mu.Unlock()
		return f.last.view != nil && f.last.view.Time.Equal(f.clock())
	}
	for deadline := time.Now().Add(20 * time.Second); !fresh(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no view")
		}
	}
	f.pass(30 * time.Second)
	for deadline := time.Now().Add(20 * time.Second); !fresh(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("Run did not refresh the view after 30 seconds")
		}
	}
	f.pass(2 * idleAfter)
	time.Sleep(50 * time.Millisecond)
	if fresh() {
		t.Error("Run refreshed the view although View was not called")
	}
	cancel()
	running.Wait()
}

// A database that was set back to an earlier state lacks farmers without a trace. After Reset, the
// next reading must not contain them.
func TestResetDropsFarmersThatVanished(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "node.db")
	st, err := store.Open(store.Config{Driver: store.SQLite, Path: path}, slog.Default())
	must(t, err)
	defer st.Close()
	must(t, st.Migrate(t.Context()))
	f := &fixture{store: st, now: start}
	f.Roster = New(st, Options{}, slog.Default(), f.clock)
	f.join(t)
	f.join(t)
	if n := f.farmers(t); n != 2 {
		t.Fatalf("%d farmers", n)
	}
	db, err := sql.Open(sqlite.DriverName, path)
	must(t, err)
	defer db.Close()
	_, err = db.Exec("DELETE FROM tokens WHERE id = (SELECT MIN(id) FROM tokens)")
	must(t, err)
	if n := f.farmers(t); n != 2 {
		t.Fatalf("%d farmers before Reset: the roster reads all farmers each time, so this test proves nothing", n)
	}
	f.Reset()
	for range 2 {
		if n := f.farmers(t); n != 1 {
			t.Errorf("%d farmers after Reset, want 1", n)
		}
	}
}
