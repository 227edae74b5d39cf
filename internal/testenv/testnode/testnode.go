// Package testnode runs a node in the process of a test. internal/app wires the
// node as in production. Only the clock and the log are different.
package testnode

import (
	"context"
	"crypto/rand"
	"database/sql"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/driveshare/downstream-node/apiserver"
	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/ops"
	"github.com/driveshare/downstream-node/internal/roster"
	"github.com/driveshare/downstream-node/internal/store"
	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/workers"
)

// Start is the time that a node's clock shows when the node is opened.
var Start = time.Date(2026, 1, 2, 3, 4, 5, 678_901_000, time.UTC)

// Interval is the challenge interval of a test node.
const Interval = 300 * time.Second

// The backends of a node.
const (
	Embedded = "embedded" // SQLite and the embedded Redis
	Servers  = "servers"  // MariaDB and Redis
)

// Backends are all backends.
var Backends = []string{Embedded, Servers}

// Node is a node in which all parts read the same clock.
type Node struct {
	*app.App
	Clock *testenv.Clock
	Logs  *Logs
}

// Config returns the default configuration of a test node. The node trusts a proxy,
// because tests simulate farmers at many IP addresses behind one proxy.
func Config() app.Config {
	c := app.Default()
	c.Access.Whitelist, c.Access.Signatures = false, false
	c.Node.Name = "test"
	c.Database.Path = ""
	c.API.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	c.API.MaxBody = 1 << 20
	c.API.MaxInFlight = 100
	c.API.RateLimits = apiserver.RateLimits{} // because tests send many requests from one address
	c.Contracts.Interval = Interval
	c.Contracts.WrongAnswers = 3
	// Tests hand out more contracts at once than a farmer without proofs gets.
	c.Contracts.UnprovenPerToken, c.Contracts.UnprovenBytesPerToken, c.Contracts.InventoryShare = 0, 0, 0
	c.Worker.Concurrency = 2
	c.Worker.CommitBatch = 200
	c.Worker.CommitDelay = time.Millisecond
	c.Worker.DrainTimeout = 5 * time.Second
	c.Worker.Duties = workers.Duties{Verify: true}
	return c
}

// Open opens a node on a backend. If cfg names a database or a Redis, the node uses
// the named server instead of the backend's server. keys are the node's heartbeat
// keys, the current key first. Open starts no service.
func Open(t testing.TB, backend string, cfg app.Config, keys []heartbeat.Heartbeat) *Node {
	t.Helper()
	n := &Node{Clock: testenv.NewClock(Start), Logs: &Logs{}}
	if db := &cfg.Database; db.DSN == "" && db.Path == "" {
		db.Driver, db.Path = store.SQLite, filepath.Join(t.TempDir(), "node.db")
		if backend == Servers {
			db.Driver, db.DSN = store.MySQL, config.Secret(testenv.NewDatabase(t))
		}
	}
	if !cfg.Redis.Server.Configured() && backend == Servers {
		cfg.Redis.Server.URL = config.Secret(testenv.NewRedis(t))
	}
	log := slog.New(slog.NewJSONHandler(n.Logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	n.App, err = app.Open(t.Context(), cfg, log, app.Options{Now: n.Clock.Now})
	testenv.Must(t, err)
	t.Cleanup(n.Close)
	n.Roster = roster.Options{} // the test's clock does not move, so a cached view would never expire
	testenv.Must(t, n.Store.Migrate(t.Context()))
	testenv.Must(t, n.JoinWith(t.Context(), keys))
	return n
}

// Background runs a function until the test ends or end is called.
func Background(t testing.TB, run func(context.Context)) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { run(ctx) })
	end = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(end)
	return end
}

// StartWorker runs a worker until the test ends.
func (n *Node) StartWorker(t testing.TB) {
	t.Helper()
	services := n.Workers("worker-" + rand.Text())
	Background(t, func(ctx context.Context) {
		_ = app.Run(ctx, services...) // app.Run fails if the test stops Redis first
	})
}

// Replica is an API replica.
type Replica struct {
	API *apiserver.Server
	*httptest.Server
	Registry *prometheus.Registry
}

// Serve runs an API replica until the test ends. change may change its
// configuration.
func (n *Node) Serve(t testing.TB, change func(*app.Config)) *Replica {
	t.Helper()
	own := &app.App{
		Config: n.Config, Log: n.Log, Now: n.Now, Roster: n.Roster,
		Store: n.Store, Redis: n.Redis, Queue: n.Queue, Geo: n.Geo, Keys: n.Keys, Ops: ops.New(false),
	}
	change(&own.Config)
	api, err := own.NewAPI(t.Context())
	testenv.Must(t, err)
	Background(t, api.Run)
	web := httptest.NewServer(api.Handler())
	t.Cleanup(web.Close)
	// On a slow machine, the server may take long to request the body.
	web.Client().Transport.(*http.Transport).ExpectContinueTimeout = time.Minute
	return &Replica{api, web, own.Ops.Registry}
}

// Logs collects the text of a log. It is safe for concurrent use.
type Logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *Logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *Logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// DB opens a connection to the node's database, for what the store does not do.
func (n *Node) DB(t testing.TB) *sql.DB {
	t.Helper()
	driver, source := "sqlite", n.Config.Database.Path
	if dsn := string(n.Config.Database.DSN); dsn != "" {
		driver, source = "mysql", dsn
	}
	db, err := sql.Open(driver, source)
	testenv.Must(t, err)
	t.Cleanup(func() { db.Close() })
	return db
}
