// Package app wires a node together: it opens the parts that a configuration names,
// and starts and stops the services of an API replica, a worker or a standalone
// node. The programs and the tests use the same wiring.
//
// The invariant: when a function of this package returns, every service that it
// started has ended. The service that it started last ends first.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/clock"
	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/geo"
	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/ops"
	"github.com/driveshare/downstream-node/internal/queue"
	"github.com/driveshare/downstream-node/internal/redisdb"
	"github.com/driveshare/downstream-node/internal/roster"
	"github.com/driveshare/downstream-node/internal/store"
	"github.com/driveshare/downstream-node/workers"
)

// App holds the parts of a node in one process.
type App struct {
	Config Config
	Log    *slog.Logger
	Now    func() time.Time
	Roster roster.Options
	Store  *store.Store
	Redis  *redisdb.DB
	Queue  *queue.Queue
	Geo    *geo.Reader
	Ops    *ops.Ops
	Keys   *keyring.Ring // nil until Join sets it

	clock        *clock.Clock // nil if Options.Now is the clock
	joined       atomic.Bool
	process      *store.Process
	known        knownTime
	faults       *faultMetrics
	ignoresLocks prometheus.Gauge
	proofs       node.ProofLog
	maintenance  int64 // the id of the last maintenance whose begin was logged
	demo         bool  // the node has demo farmers
	onDuty       bool  // the process reports that it can do its duty; a worker that verifies nothing has none

	mu          sync.Mutex
	incarnation string   // of the database, since Join
	drop        []func() // drop copies of rows
}

// KindCommand is the kind of a command, which does no work of the node.
const KindCommand = "command"

// Options are settings that are not part of the configuration.
type Options struct {
	// Kind is what the process does, such as "api".
	Kind string
	// If Profiles is set, the private port serves pprof.
	Profiles bool
	// Now is the clock of all parts. Nil means the database's clock.
	Now func() time.Time
}

// Open opens the parts. It does not wait for the database; Join does.
func Open(ctx context.Context, cfg Config, log *slog.Logger, opt Options) (*App, error) {
	raiseHeap()
	limitMemory(log)
	redisdb.SetLog(log)
	for _, warning := range config.Exposed(&cfg) {
		log.Warn("a secret is exposed", "problem", warning)
	}
	a := &App{
		Config: cfg,
		Log:    log,
		Now:    opt.Now,
		Roster: roster.Options{Age: time.Second, Keep: 30 * time.Second},
	}
	var err error
	if a.Store, err = store.Open(cfg.Database, log); err != nil {
		return nil, err
	}
	a.Store.SetScoreRules(cfg.Score.Rules())
	if a.Now == nil {
		a.clock = clock.New(a.Store.Now, log)
		a.Now = a.clock.Now
	}
	if a.Redis, err = a.openRedis(); err != nil {
		return nil, errors.Join(err, a.Store.Close())
	}
	a.Queue = queue.New(a.Redis, cfg.Redis.Queue, log)
	a.Geo = geo.Open(cfg.Geo, log)
	a.process = a.Store.NewProcess(uniqueName(), opt.Kind)
	a.onDuty = opt.Kind != store.KindWorker || cfg.Worker.Duties.Verify
	checks := []ops.Check{
		{Name: "database", Run: a.checkDatabase},
		{Name: "schema", Run: a.checkSchema},
		{Name: "redis", Run: a.Redis.Probe},
	}
	if a.clock != nil {
		checks = append(checks, ops.Check{Name: "clock", Run: a.clock.Check})
	}
	a.Ops = ops.New(opt.Profiles, checks...)
	a.Ops.Log = log
	a.Ops.Registry.MustRegister(a.Queue.Collector(), a.Geo, certificates(cfg, opt.Kind))
	a.ignoresLocks = promauto.With(a.Ops.Registry).NewGauge(prometheus.GaugeOpts{
		Name: "downstream_database_ignores_skip_locked",
		Help: "1 if this process found at its start that the database ignores SKIP LOCKED, else 0.",
	})
	a.faults = newFaultMetrics(a.Ops.Registry, &a.known, a.Now)
	if a.clock != nil {
		a.Ops.Registry.MustRegister(a.clock.Collector())
	}
	return a, nil
}

// certificates returns the certificate files that a process of this kind uses.
func certificates(cfg Config, kind string) ops.Certificates {
	files := ops.Certificates{"database": cfg.Database.CertFile, "redis": cfg.Redis.Server.CertFile}
	if kind != store.KindWorker {
		files["api"] = cfg.API.TLS.CertFile
	}
	maps.DeleteFunc(files, func(_, path string) bool { return path == "" })
	return files
}

// heapFloor is the minimum number of bytes that a process allocates between two
// garbage collections. Without it, a process with a few megabytes of live memory
// would run a collection after every few megabytes.
//
// Measured with 5 MB of live memory and 20 kB of small objects for each operation:
// 23 collections and 4.6 s of processor time with heapFloor, 237 collections and
// 5.4 s without it. GOGC=400 takes as little time, but then a large heap grows to
// five times the live memory. heapFloor adds a constant.
const heapFloor = 64 << 20

// raiseHeap allocates memory that the process never touches, so the operating
// system provides no pages for it. The garbage collector counts this memory as live
// when it decides how far the heap may grow.
var raiseHeap = sync.OnceValue(func() []byte { return make([]byte, heapFloor) })

// Close closes the parts. The caller must first stop all services.
func (a *App) Close() {
	a.Ops.Close()
	if err := errors.Join(a.Geo.Close(), a.Redis.Close(), a.Store.Close()); err != nil {
		a.Log.Warn("cannot close a part of the node", "error", err)
	}
}

func (a *App) openRedis() (*redisdb.DB, error) {
	opt := redisdb.Options{Config: a.Config.Redis.Server, Namespace: a.Config.Node.Name, Now: a.Now}
	if !opt.Configured() {
		return redisdb.Embedded(opt)
	}
	return redisdb.Open(opt)
}

// joinRetry is the time between two attempts of Join.
const joinRetry = 2 * time.Second

// Join waits until the database responds and has the tables that this version
// needs. Then it sets the process's clock by the database's clock, and registers the
// configured heartbeat keys in the database.
func (a *App) Join(ctx context.Context) error {
	heartbeats, err := a.Config.Heartbeat.Load(a.Config.Contracts.Interval)
	if err != nil {
		return err
	}
	return a.JoinWith(ctx, heartbeats)
}

// JoinWith is like Join, but uses the given heartbeat keys. The current key comes
// first.
func (a *App) JoinWith(ctx context.Context, heartbeats []heartbeat.Heartbeat) error {
	for {
		err := CheckSchema(ctx, a.Store)
		if err == nil && a.clock != nil {
			err = a.clock.Measure(ctx)
		}
		if err == nil {
			a.Keys, err = registerKeys(ctx, a.Store, a.keyHolder(), heartbeats, a.Config.Heartbeat.Compromised, a.Now())
		}
		if err == nil {
			a.incarnation, err = a.process.Beat(ctx)
		}
		if err == nil {
			a.Redis.SetIncarnation(a.incarnation)
			a.checkLocks(ctx)
			a.joined.Store(true)
			for _, prefix := range a.Keys.UnknownCompromised() {
				a.Log.Warn("heartbeat.compromised names a key that this process does not have", "fingerprint", prefix)
			}
			return nil
		}
		if errors.Is(err, store.ErrKeyMissing) || errors.Is(err, store.ErrUnsupported) {
			return err
		}
		if a.Config.Database.Driver == store.SQLite {
			return err // a wrong file stays wrong, so waiting is useless
		}
		a.Log.Warn("cannot use the database yet, retrying", "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(joinRetry):
		}
	}
}

// checkLocks warns if the database ignores SKIP LOCKED. The node works all the same, because
// the store checks how many rows it takes.
func (a *App) checkLocks(ctx context.Context) {
	if a.process.Kind() == KindCommand {
		return
	}
	skips, err := a.process.SkipsLocked(ctx)
	switch {
	case err != nil:
		a.Log.Warn("cannot find out whether the database skips locked rows; the node works without that, but hand-outs may be slow", "error", err)
	case !skips:
		a.ignoresLocks.Set(1)
		a.Log.Warn("the database ignores SKIP LOCKED, or its address leads to several servers that do not share their locks;" +
			" no chunk is handed out twice, but hand-outs at the same time wait for each other or are repeated, and a few end with a 503;" +
			" use MySQL 8 or MariaDB, and one server for all writes")
	}
}

// keyHolder returns the process if it verifies or encodes; a command does not.
func (a *App) keyHolder() *store.Process {
	if a.process.Kind() == KindCommand {
		return nil
	}
	return a.process
}

// RegisterKeys registers heartbeat keys in the database, for a command.
func RegisterKeys(ctx context.Context, st *store.Store, heartbeats []heartbeat.Heartbeat, now time.Time) (*keyring.Ring, error) {
	return registerKeys(ctx, st, nil, heartbeats, nil, now)
}

func registerKeys(ctx context.Context, st *store.Store, process *store.Process, heartbeats []heartbeat.Heartbeat, compromised []string, now time.Time) (*keyring.Ring, error) {
	keys, err := keyring.New(ctx, st, process, heartbeats, compromised, now)
	if errors.Is(err, store.ErrKeyMissing) {
		err = fmt.Errorf("%w: no other key can verify these contracts; restore the key file from a backup: into heartbeat.keyFiles; on Kubernetes, into the Secret that status.heartbeatKeys names; of a standalone node, under its name (heartbeat.json, heartbeat-2.json and so on) into the --data directory", err)
	}
	return keys, err
}

// CheckSchema returns an error if the server's settings do not fit, or if the tables
// do not have the version that this program needs.
func CheckSchema(ctx context.Context, st *store.Store) error {
	if err := st.CheckServer(ctx); err != nil {
		return err
	}
	have, want, err := st.SchemaVersion(ctx)
	if err == nil && have != want {
		err = fmt.Errorf("the tables are at version %d, this program needs %d: run `downstream-node db migrate`", have, want)
	}
	return err
}

// checkSchema is the readiness check. It reads the version of the tables only until
// the process has joined. After that the version does not change, and a slow
// database must not make a working process look unready.
func (a *App) checkSchema(ctx context.Context) error {
	if a.joined.Load() {
		return nil
	}
	return CheckSchema(ctx, a.Store)
}

// checkDatabase is the readiness check that writes to the database. If the database
// was set back to an earlier state, checkDatabase drops all copies of rows, so the process does
// this even if nobody probes it; see ops.Watch.
func (a *App) checkDatabase(ctx context.Context) error {
	if !a.joined.Load() {
		return a.Store.Ping(ctx) // the tables may not exist yet
	}
	incarnation, err := a.process.Beat(ctx)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if incarnation == a.incarnation {
		return a.Keys.Refresh(ctx, a.Store, a.Now())
	}
	if err := a.renew(ctx); err != nil {
		return fmt.Errorf("the database was set back to an earlier state: %w", err)
	}
	a.Redis.SetIncarnation(incarnation)
	for _, drop := range a.drop {
		drop()
	}
	a.incarnation = incarnation
	a.Log.Warn("the database was restored or set back to an earlier state, so this process dropped its copies of rows;" +
		" if you have not run `downstream-node db restored` since the restore, run it")
	return nil
}

// renew checks again what Join checked.
func (a *App) renew(ctx context.Context) error {
	if err := CheckSchema(ctx, a.Store); err != nil {
		return err
	}
	return a.Keys.Renew(ctx, a.Store, a.Now())
}

// onRestore adds a function that drops copies of rows. It is called if the database
// was set back to an earlier state.
func (a *App) onRestore(drop func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.drop = append(a.drop, drop)
}

// WorkerDeps returns the parts that a worker needs.
func (a *App) WorkerDeps() workers.Deps {
	return workers.Deps{Store: a.Store, Redis: a.Redis, Queue: a.Queue, Keys: a.Keys, Log: a.Log, Registry: a.Ops.Registry, Now: a.Now, Known: a.known.get}
}

// watch returns the services that follow the database's clock and look for faults.
// Its caller must call Join first.
func (a *App) watch() []Service {
	a.known.set(time.Time{}) // until the first report
	services := []Service{{"faults", a.watchFaults}}
	if a.clock != nil {
		services = append(services, Service{"clock", a.clock.Run})
	}
	return services
}
