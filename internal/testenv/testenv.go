// Package testenv is for tests only. It runs private database and Redis servers,
// and contains the helpers that the tests of several packages need.
//
// NewDatabase and NewRedis return a new, empty database on a server that all tests
// of the process share. The first call starts the server. StartMariaDB and
// StartRedis start a server for one test. The test may stop, kill, pause and
// restart this server. A package that uses any of these functions must call Main
// from its TestMain.
//
// TEST_MYSQL_DSN and TEST_REDIS_URL name servers to use instead of the shared
// servers, for example a MySQL 8. The user in the DSN must have the right to create
// databases.
//
// The invariant: when the test process ends, its servers end too, even if the
// process is killed (on Linux).
package testenv

import (
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Main runs a package's tests and then stops the shared servers. It fails if a
// goroutine is still running.
//
//	func TestMain(m *testing.M) { testenv.Main(m) }
func Main(m *testing.M, options ...goleak.Option) {
	goleak.VerifyTestMain(thenStop{m}, options...)
}

type thenStop struct{ *testing.M }

func (m thenStop) Run() int {
	defer func() {
		for _, stop := range sharedServers {
			stop()
		}
	}()
	return m.M.Run()
}

// Mode determines whether a server's data survives a power cut.
type Mode int

const (
	// A server in mode Fast never waits for the disk. A MariaDB that is killed
	// keeps its data, because the operating system still writes the data. A Redis
	// that is killed loses its data.
	Fast Mode = iota
	// A server in mode Durable waits for the disk at every commit, as in
	// production.
	Durable
)

// sharedServers contains the functions that close the shared servers.
var (
	sharedServers []func()
	sharing       sync.Mutex
)

// shared returns a function that launches a server at its first call. Main closes
// the server.
func shared[S interface{ close() }](launch func() (S, error)) func(testing.TB) S {
	once := sync.OnceValues(func() (S, error) {
		s, err := launch()
		if err == nil {
			sharing.Lock()
			defer sharing.Unlock()
			sharedServers = append(sharedServers, s.close)
		}
		return s, err
	})
	return func(t testing.TB) S {
		t.Helper()
		s, err := once()
		Must(t, err)
		return s
	}
}

// closeAfter closes a server when the test ends.
func closeAfter[S interface{ close() }](t testing.TB, s S, err error) S {
	t.Helper()
	Must(t, err)
	t.Cleanup(s.close)
	return s
}

// Must ends the test if err is not nil.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Patience is how long a test waits for an event that usually happens immediately.
const Patience = 30 * time.Second

// WaitFor polls until happened returns true. It fails the test after Patience.
func WaitFor(t testing.TB, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !happened(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", Patience, what)
		}
	}
}

// OnEach runs a test in parallel for each name, for example for each kind of
// database.
func OnEach(t *testing.T, names []string, test func(t *testing.T, name string)) {
	t.Helper()
	t.Parallel()
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, name)
		})
	}
}

// Clock is a clock that moves only if the test moves it.
type Clock struct {
	mu   sync.Mutex
	now  time.Time
	step time.Duration
}

// NewClock returns a clock whose time is now.
func NewClock(now time.Time) *Clock { return &Clock{now: now} }

// Now returns the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(c.step)
	return c.now
}

// Advance moves the clock forward by d.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// AdvanceOnRead makes every later call of Now move the clock forward by step.
func (c *Clock) AdvanceOnRead(step time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.step = step
}
