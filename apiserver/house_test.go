package apiserver_test

import (
	"context"
	"crypto/rand"
	"errors"
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
	"github.com/driveshare/downstream-node/internal/geo"
	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/queue"
	"github.com/driveshare/downstream-node/internal/redisdb"
	"github.com/driveshare/downstream-node/internal/store"
	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/workers"
)

// start is when every house is opened; time passes as the test says.
var start = time.Date(2026, 1, 2, 3, 4, 5, 678_901_000, time.UTC)

const interval = 300 * time.Second

// house is a node in the test: its rooms, an API replica, and a worker. All
// read the one clock.
type house struct {
	*replica // the first; open gives others
	plan     plan
	clock    *clock
	store    *store.Store
	redis    *redisdb.DB
	queue    *queue.Queue
	keys     *keyring.Ring
	log      *logbook
	work     context.Context
}

// plan is what a test can want of a house.
type plan struct {
	backend string // embedded or servers
	schemes []heartbeat.Type
	idle    bool // no worker
	api     apiserver.Options
	store   store.Options
	redis   redisdb.Options
	queue   queue.Options
}

// The backends: SQLite with a Redis in the process, and MariaDB with Redis.
const (
	embedded = "embedded"
	servers  = "servers"
)

// onEach runs a test in a house on each backend.
func onEach(t *testing.T, change func(*plan), test func(t *testing.T, h *house)) {
	t.Helper()
	t.Parallel()
	for _, backend := range []string{embedded, servers} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			test(t, openHouse(t, backend, change))
		})
	}
}

func asPlanned(*plan) {}

func defaultPlan(backend string) plan {
	return plan{
		backend: backend,
		schemes: []heartbeat.Type{heartbeat.Merkle},
		api: apiserver.Options{
			// Tests are farmers from many addresses behind one proxy.
			TrustedProxies:      []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
			MaxBody:             1 << 20,
			MaxProofs:           10_000,
			MaxInFlight:         100,
			PartSize:            100,
			AnswerTimeout:       20 * time.Second,
			WriteTimeout:        time.Minute,
			Interval:            interval,
			TokensPerIP:         5,
			ContractsPerRequest: 10,
			BytesPerAddress:     1 << 30,
			DefaultRequestSize:  32 << 10,
			MessageLength:       1024,
			WrongAnswers:        3,
		},
		redis: redisdb.Options{Namespace: "test"},
	}
}

func openHouse(t testing.TB, backend string, change func(*plan)) *house {
	t.Helper()
	p := defaultPlan(backend)
	change(&p)
	ctx, cancel := context.WithCancel(context.Background())
	h := &house{plan: p, clock: &clock{now: start}, log: &logbook{}, work: ctx}
	logger := slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h.openStore(t, logger)
	h.openQueue(t, logger)

	var err error
	h.keys, err = keyring.New(ctx, h.store, keys(t, p.schemes), start)
	must(t, err)
	if !p.idle {
		h.startWorker(t, ctx, logger)
	}
	// Whatever is opened from here on is closed before the worker stops.
	t.Cleanup(cancel)
	h.replica = h.open(t, func(*apiserver.Options) {})
	return h
}

func (h *house) openStore(t testing.TB, log *slog.Logger) {
	t.Helper()
	opt := h.plan.store
	opt.Logger = log
	switch {
	case opt.Driver != "":
	case h.plan.backend == servers:
		opt.Driver, opt.DSN = store.MySQL, testenv.NewDatabase(t)
	default:
		opt.Driver, opt.Path = store.SQLite, filepath.Join(t.TempDir(), "node.db")
	}
	st, err := store.Open(t.Context(), opt)
	must(t, err)
	t.Cleanup(func() { st.Close() })
	must(t, st.Migrate(t.Context()))
	h.store, h.plan.store = st, opt
}

func (h *house) openQueue(t testing.TB, log *slog.Logger) {
	t.Helper()
	opt := h.plan.redis
	opt.Now = h.clock.Now
	open := redisdb.Open
	switch {
	case opt.URL != "":
	case h.plan.backend == servers:
		opt.URL = testenv.NewRedis(t)
	default:
		open = redisdb.Embedded
	}
	db, err := open(opt)
	must(t, err)
	t.Cleanup(func() { db.Close() })
	h.redis, h.queue = db, queue.New(db, queue.Options{MaxQueue: h.plan.queue.MaxQueue, Log: log})
}

func (h *house) startWorker(t testing.TB, ctx context.Context, log *slog.Logger) {
	v := workers.NewVerifier(workers.Deps{
		Store: h.store, Redis: h.redis, Queue: h.queue, Keys: h.keys, Log: log, Registry: prometheus.NewRegistry(), Now: h.clock.Now,
	}, workers.VerifierOptions{
		Name: "worker-" + rand.Text(), Concurrency: 2, CommitBatch: 200, CommitDelay: time.Millisecond,
		JobHardLimit: 10 * time.Second, ClaimIdle: 30 * time.Second, MaxDeliveries: 5, DrainTimeout: 5 * time.Second,
		WrongAnswers: h.plan.api.WrongAnswers,
	})
	var working sync.WaitGroup
	working.Go(func() { _ = v.Run(ctx) }) // the Redis may be gone when it leaves
	t.Cleanup(working.Wait)
}

// replica is an API server of the house.
type replica struct {
	api *apiserver.Server
	*httptest.Server
	registry *prometheus.Registry
}

// open starts another API replica, with options of its own.
func (h *house) open(t testing.TB, change func(*apiserver.Options)) *replica {
	t.Helper()
	opt := h.plan.api
	change(&opt)
	log := slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	places := geo.Open(geo.Config{}, log)
	registry := prometheus.NewRegistry()
	srv, err := apiserver.New(h.work, apiserver.Deps{
		Store: h.store, Redis: h.redis, Queue: h.queue, Keys: h.keys, Geo: places, Log: log, Registry: registry, Now: h.clock.Now,
	}, opt)
	must(t, err)

	ctx, cancel := context.WithCancel(h.work)
	var receiving sync.WaitGroup
	receiving.Go(func() { srv.Run(ctx) })
	web := httptest.NewServer(srv.Handler())
	// A body that waits to be asked for waits on a slow machine too.
	web.Client().Transport.(*http.Transport).ExpectContinueTimeout = time.Minute
	t.Cleanup(func() {
		web.Close()
		cancel()
		receiving.Wait()
		must(t, places.Close())
	})
	return &replica{srv, web, registry}
}

// clock stands still unless it is told to go on.
type clock struct {
	mu   sync.Mutex
	now  time.Time
	tick time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(c.tick)
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// goOn lets it go by itself, so far each time that it is read.
func (c *clock) goOn(tick time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tick = tick
}

// logbook keeps what is logged.
type logbook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func keys(t testing.TB, types []heartbeat.Type) []heartbeat.Heartbeat {
	t.Helper()
	files := map[heartbeat.Type]string{heartbeat.Merkle: "testdata/merkle.json", heartbeat.Swizzle: "testdata/swizzle.json"}
	paths := make([]string, len(types))
	for i, scheme := range types {
		paths[i] = files[scheme]
	}
	heartbeats, err := keyring.Load(paths)
	must(t, err)
	return heartbeats
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var errTooLong = errors.New("it did not happen in time")

// waitFor looks until it has happened. It is for what gives no signal.
func waitFor(t testing.TB, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !happened(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, errTooLong)
		}
	}
}
