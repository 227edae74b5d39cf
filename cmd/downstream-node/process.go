package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/driveshare/downstream-node/internal/program"

	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/apiserver"
	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/geo"
	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/ops"
	"github.com/driveshare/downstream-node/internal/queue"
	"github.com/driveshare/downstream-node/internal/roster"
	"github.com/driveshare/downstream-node/internal/store"
	"github.com/driveshare/downstream-node/workers"
)

// newLogger makes the process's log, which the Redis client uses too.
func newLogger(cfg config.Log) *slog.Logger {
	log := program.NewLogger(cfg, os.Stderr)
	redis.SetLogger(redisLog{log})
	return log
}

// redisLog writes what the Redis client logs at debug level: callers get the
// same as errors.
type redisLog struct{ log *slog.Logger }

func (l redisLog) Printf(ctx context.Context, format string, args ...any) {
	l.log.DebugContext(ctx, "redis client: "+fmt.Sprintf(format, args...))
}

// process is the rooms of a running node, opened from its configuration.
type process struct {
	cfg   config.Config
	log   *slog.Logger
	store *store.Store
	queue *queue.Queue
	geo   *geo.Reader
	ops   *ops.Ops

	keys   *keyring.Ring // once it has joined
	joined atomic.Bool
}

// openProcess opens the rooms. It waits for nothing: see join.
func openProcess(ctx context.Context, cfg config.Config, log *slog.Logger, profiles bool) (*process, error) {
	raiseHeap()
	p := &process{cfg: cfg, log: log}
	var err error
	if p.store, err = openStore(ctx, cfg.Database, log); err != nil {
		return nil, err
	}
	if p.queue, err = openQueue(ctx, cfg, log); err != nil {
		return nil, errors.Join(err, p.store.Close())
	}
	p.geo = geo.Open(cfg.Geo.File, cfg.Geo.ReloadInterval, log)
	p.ops = ops.New(profiles,
		ops.Check{Name: "database", Run: p.store.Ping},
		ops.Check{Name: "schema", Run: p.checkSchema},
		ops.Check{Name: "redis", Run: p.queue.Ping},
	)
	p.ops.Registry.MustRegister(p.queue.Collector())
	return p, nil
}

func (p *process) close() {
	if err := errors.Join(p.geo.Close(), p.queue.Close(), p.store.Close()); err != nil {
		p.log.Warn("closing", "error", err)
	}
}

func openStore(ctx context.Context, cfg config.Database, log *slog.Logger) (*store.Store, error) {
	return store.Open(ctx, store.Options{
		Driver:      string(cfg.Driver),
		DSN:         string(cfg.DSN),
		Path:        cfg.Path,
		MaxOpen:     cfg.MaxOpen,
		MaxIdle:     cfg.MaxIdle,
		MaxLifetime: cfg.ConnLifetime,
		Logger:      log,
	})
}

func openQueue(ctx context.Context, cfg config.Config, log *slog.Logger) (*queue.Queue, error) {
	r := cfg.Redis
	opt := queue.Options{
		URL: string(r.URL), Addrs: r.Addrs, MasterName: r.MasterName, Cluster: r.Cluster, DB: r.DB,
		Username: r.Username, Password: string(r.Password),
		SentinelUsername: r.SentinelUsername, SentinelPassword: string(r.SentinelPassword),
		Namespace: cfg.Node.Name,
		MaxQueue:  r.MaxQueue,
		Log:       log,
	}
	if !r.Configured() {
		return queue.Embedded(ctx, opt)
	}
	if r.TLS || r.CAFile != "" {
		opt.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if r.CAFile != "" {
		pem, err := os.ReadFile(r.CAFile)
		if err != nil {
			return nil, fmt.Errorf("redis.caFile: %w", err)
		}
		opt.TLS.RootCAs = x509.NewCertPool()
		if !opt.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("redis.caFile %s: no certificate in it", r.CAFile)
		}
	}
	return queue.Open(ctx, opt)
}

// joinRetry is how often a process that waits for its database looks again.
const joinRetry = 2 * time.Second

// join waits until the database answers and has the tables that this version
// needs, and then makes the process's heartbeat keys known there.
func (p *process) join(ctx context.Context) error {
	heartbeats, err := keyring.Load(p.cfg.Heartbeat.KeyFiles)
	if err != nil {
		return err
	}
	for {
		if err = checkSchema(ctx, p.store); err == nil {
			p.keys, err = registerKeys(ctx, p.store, heartbeats)
		}
		if err == nil {
			p.joined.Store(true)
			return nil
		}
		if errors.Is(err, store.ErrKeyMissing) {
			return err
		}
		if p.cfg.Database.Driver == config.SQLite {
			return err // a file does not come back by waiting
		}
		p.log.Warn("waiting for the database", "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(joinRetry):
		}
	}
}

// registerKeys makes heartbeat keys known to the database.
func registerKeys(ctx context.Context, st *store.Store, heartbeats []heartbeat.Heartbeat) (*keyring.Ring, error) {
	keys, err := keyring.New(ctx, st, heartbeats, time.Now())
	if errors.Is(err, store.ErrKeyMissing) {
		err = fmt.Errorf("%w: this database belongs to it; restore its file from a backup (heartbeat.keyFiles, or the node's Secret): contracts cannot be checked with another", err)
	}
	return keys, err
}

// checkSchema fails where the tables are not those of this version.
func checkSchema(ctx context.Context, st *store.Store) error {
	have, want, err := st.SchemaVersion(ctx)
	if err == nil && have != want {
		err = fmt.Errorf("the tables are at version %d, this program needs %d: run `downstream-node db migrate`", have, want)
	}
	return err
}

// checkSchema is for readiness. The tables are looked at until the process has
// joined: that they have the version it needs does not pass by itself, and a
// slow database should not make a process that works look as if it did not.
func (p *process) checkSchema(ctx context.Context) error {
	if p.joined.Load() {
		return nil
	}
	return checkSchema(ctx, p.store)
}

// private opens the private port, and gives the service that answers there.
func (p *process) private(ctx context.Context, address string) (service, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return service{}, fmt.Errorf("private port: %w", err)
	}
	return service{"private listener", func(ctx context.Context) error {
		srv := &http.Server{Handler: p.ops.Handler(), ReadHeaderTimeout: 5 * time.Second}
		stop := context.AfterFunc(ctx, func() { srv.Close() })
		defer stop()
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}}, nil
}

// api is the services of an API replica, on ln or, where that is nil, on the
// configured address.
func (p *process) api(ctx context.Context, ln net.Listener) ([]service, error) {
	c := p.cfg
	srv, err := apiserver.New(ctx, apiserver.Rooms{
		Store: p.store, Queue: p.queue, Keys: p.keys, Geo: p.geo, Log: p.log, Registry: p.ops.Registry,
	}, apiserver.Options{
		TrustedProxies: c.API.TrustedProxies,
		MaxBody:        int64(c.API.MaxBody),
		MaxProofs:      c.API.MaxProofs,
		MaxInFlight:    c.API.MaxInFlight,
		PartSize:       c.API.PartSize,
		AnswerTimeout:  c.API.AnswerTimeout,
		WriteTimeout:   c.API.WriteTimeout,
		Roster:         roster.Options{Age: time.Second, Keep: 30 * time.Second},
		PerAddress:     apiserver.Rate{PerSecond: c.API.RateLimits.PerIP.Rate, Burst: c.API.RateLimits.PerIP.Burst},
		PerToken:       apiserver.Rate{PerSecond: c.API.RateLimits.PerToken.Rate, Burst: c.API.RateLimits.PerToken.Burst},

		Whitelist:  c.Access.Whitelist,
		Signatures: c.Access.Signatures,

		Interval:            c.Contracts.Interval,
		TokensPerIP:         c.Contracts.TokensPerIP,
		ContractsPerRequest: c.Contracts.ContractsPerRequest,
		BytesPerAddress:     int64(c.Contracts.BytesPerAddress),
		DefaultRequestSize:  int64(c.Contracts.DefaultRequestSize),
		MessageLength:       c.Contracts.MessageLength,
		WrongAnswers:        c.Contracts.WrongAnswers,
	})
	if err != nil {
		return nil, err
	}
	replies := service{"replies", func(ctx context.Context) error { srv.Run(ctx); return nil }}
	listener := service{"farmers' listener", func(ctx context.Context) error {
		return srv.Serve(ctx, ln, listening(c.API), p.ops.Drain)
	}}
	return []service{replies, listener}, nil
}

func listening(c config.API) apiserver.Listening {
	return apiserver.Listening{
		Address:           c.Listen,
		CertFile:          c.TLS.CertFile,
		KeyFile:           c.TLS.KeyFile,
		ReadHeaderTimeout: c.ReadHeaderTimeout,
		ReadTimeout:       c.ReadTimeout,
		WriteTimeout:      c.WriteTimeout,
		IdleTimeout:       c.IdleTimeout,
		DrainDelay:        c.DrainDelay,
		ShutdownTimeout:   c.ShutdownTimeout,
	}
}

func (p *process) workerRooms() workers.Rooms {
	return workers.Rooms{Store: p.store, Queue: p.queue, Keys: p.keys, Log: p.log, Registry: p.ops.Registry}
}

// workers is the services of a worker.
func (p *process) workers(name string) []service {
	c, rooms := p.cfg, p.workerRooms()
	var services []service
	if c.Worker.Duties.Sweep {
		services = append(services, service{"sweeper", workers.NewSweeper(rooms, sweeping(c)).Run},
			service{"recorder", workers.NewRecorder(rooms, recording(c)).Run})
	}
	if c.Worker.Duties.Stock {
		services = append(services, service{"stocker", workers.NewStocker(rooms, stocking(c)).Run})
	}
	if c.Worker.Duties.Verify {
		concurrency := c.Worker.Concurrency
		if concurrency == 0 {
			concurrency = runtime.GOMAXPROCS(0)
		}
		services = append(services, service{"verifier", workers.NewVerifier(rooms, workers.VerifierOptions{
			Name:          name,
			Concurrency:   concurrency,
			CommitBatch:   c.Worker.CommitBatch,
			CommitDelay:   c.Worker.CommitDelay,
			JobHardLimit:  c.Worker.JobHardLimit,
			ClaimIdle:     c.Worker.ClaimIdle,
			MaxDeliveries: c.Worker.MaxDeliveries,
			DrainTimeout:  c.Worker.DrainTimeout,
			WrongAnswers:  c.Contracts.WrongAnswers,
		}).Run})
	}
	return services
}

func stocking(c config.Config) workers.StockerOptions {
	return workers.StockerOptions{
		Inventory: node.Inventory{
			MinSize:   int64(c.Inventory.MinChunkSize),
			MaxSize:   int64(c.Inventory.MaxChunkSize),
			TotalSize: int64(c.Inventory.TotalSize),
			Base:      c.Inventory.Base,
		},
		Encoders:   c.Inventory.Encoders,
		Interval:   time.Second,
		Lease:      time.Minute,
		Challenges: c.Heartbeat.Challenges,
	}
}

func sweeping(c config.Config) workers.SweeperOptions {
	return workers.SweeperOptions{
		Interval:  c.Sweep.Interval,
		CleanEach: time.Minute,
		PruneEach: time.Hour,
		Grace:     c.Sweep.Grace,
		Retention: c.Contracts.Retention,
		Batch:     c.Sweep.Batch,
	}
}

func recording(c config.Config) workers.RecorderOptions {
	return workers.RecorderOptions{
		Interval:    time.Minute,
		BalanceEach: time.Hour,
		Keep:        store.Keep{Minutes: c.Record.Minutes, Hours: c.Record.Hours, Days: c.Record.FarmerDays},
	}
}
