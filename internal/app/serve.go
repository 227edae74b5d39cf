package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/driveshare/downstream-node/apiserver"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/ops"
	"github.com/driveshare/downstream-node/internal/program"
	"github.com/driveshare/downstream-node/internal/store"
	"github.com/driveshare/downstream-node/workers"
)

// ServeAPI runs an API replica until ctx ends.
func ServeAPI(ctx context.Context, cfg Config, log *slog.Logger) error {
	return serve(ctx, cfg, log, store.KindAPI, cfg.API.Private, func(ctx context.Context, a *App) ([]Service, error) {
		ln, err := apiserver.Listen(ctx, cfg.API, cfg.Contracts, log)
		if err != nil {
			return nil, portOf("api.listen", err)
		}
		services, err := a.api(ctx, ln)
		if err == nil {
			a.Log.Info("serving farmers", "address", ln.Addr().String())
		}
		return services, err
	})
}

// ServeWorker runs a worker until ctx ends.
func ServeWorker(ctx context.Context, cfg Config, log *slog.Logger) error {
	return serve(ctx, cfg, log, store.KindWorker, cfg.Worker.Private, func(_ context.Context, a *App) ([]Service, error) {
		if err := cfg.TakeoverInTime(); err != nil && cfg.Worker.Duties.Verify {
			a.Log.Warn("jobs that this worker takes over are late, unless the API has another api.answerTimeout", "error", err)
		}
		name, duties := uniqueName(), cfg.Worker.Duties
		a.Log.Info("worker started", "name", name, "verify", duties.Verify, "stock", duties.Stock, "sweep", duties.Sweep)
		return a.Workers(name), nil
	})
}

// serve runs a process and its private port until ctx ends. It calls start as soon
// as the process can use the database.
func serve(ctx context.Context, cfg Config, log *slog.Logger, name string, private ops.Config, start func(context.Context, *App) ([]Service, error)) error {
	a, err := Open(ctx, cfg, log, Options{Kind: name, Profiles: private.Pprof})
	if err != nil {
		return err
	}
	defer a.Close()
	listener, err := a.private(ctx, name, private.Listen)
	if err != nil {
		return err
	}
	return Run(ctx, listener, Service{"checks", a.Ops.Watch}, Service{name, func(ctx context.Context) error {
		if err := a.Join(ctx); err != nil {
			return err
		}
		services, err := start(ctx, a)
		if err != nil {
			return err
		}
		a.Ops.Serve()
		return Run(ctx, append(a.watch(), services...)...)
	}})
}

// uniqueName returns the host's name with a suffix, so that several processes on one
// host have different names.
func uniqueName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "process"
	}
	return host + "-" + rand.Text()[:6]
}

// portOf adds to the error of a port that another process has which setting to change.
func portOf(setting string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w by another process: set %s to a free port", err, setting)
	}
	return err
}

// private opens the private port of an API replica or a worker, and returns the service that
// serves it.
func (a *App) private(ctx context.Context, kind, address string) (Service, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return Service{}, fmt.Errorf("private port: %w", portOf(kind+".privateListen", err))
	}
	return Service{"private listener", func(ctx context.Context) error {
		srv := &http.Server{Handler: a.Ops.Handler(), ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(a.Log.Handler(), slog.LevelDebug)}
		stop := context.AfterFunc(ctx, func() { srv.Close() })
		defer stop()
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}}, nil
}

// api returns the services of an API replica on ln. If it fails, it closes ln.
func (a *App) api(ctx context.Context, ln net.Listener) ([]Service, error) {
	srv, err := a.NewAPI(ctx)
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	var services []Service
	if a.Store.HasReplica() {
		a.Ops.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "downstream_replica_lag_seconds",
			Help: "How far the replica of database.readDSN is behind; infinite if it cannot be measured.",
		}, a.replicaLag))
		services = append(services, Service{"replica", a.Store.WatchReplica})
	}
	return append(services,
		Service{"replies", func(ctx context.Context) error { srv.Run(ctx); return nil }},
		Service{"farmers' listener", func(ctx context.Context) error { return srv.Serve(ctx, ln, a.Ops.Drain) }},
	), nil
}

func (a *App) replicaLag() float64 {
	if lag, known := a.Store.ReplicaLag(); known {
		return lag.Seconds()
	}
	return math.Inf(1)
}

// NewAPI creates the server of an API replica.
func (a *App) NewAPI(ctx context.Context) (*apiserver.Server, error) {
	c := a.Config
	srv, err := apiserver.New(ctx, c.API, c.Access, c.Contracts, apiserver.Deps{
		Store: a.Store, Redis: a.Redis, Queue: a.Queue, Keys: a.Keys, Geo: a.Geo, Log: a.Log,
		Registry: a.Ops.Registry, Roster: a.Roster, Now: a.Now, Known: a.known.get, Proofs: &a.proofs,
		Detector: c.Heartbeat.Detector(c.Contracts.Interval), Redundancy: c.Inventory.Redundancy,
		Page: c.Page, Version: program.Release(), InventPlaces: a.demo,
	})
	if err == nil {
		a.onRestore(srv.DropCopies)
	}
	return srv, err
}

// Workers returns the services of a worker, one for each configured duty.
func (a *App) Workers(name string) []Service {
	c, deps := a.Config, a.WorkerDeps()
	var services []Service
	if c.Worker.Duties.Sweep {
		services = append(services,
			Service{"sweeper", workers.NewSweeper(deps, c.Sweep, c.Contracts.Retention, c.Contracts.UnusedTokenLife).Run},
			Service{"recorder", workers.NewRecorder(deps, c.Record, c.Inventory.Redundancy).Run})
	}
	if c.Worker.Duties.Stock {
		services = append(services, Service{"stocker", a.NewStocker(c.Inventory.Inventory()).Run})
	}
	if c.Worker.Duties.Verify {
		services = append(services, Service{"verifier", workers.NewVerifier(deps, name, c.Worker, c.Contracts.WrongAnswers).Run})
	}
	return services
}

// NewStocker creates the stocker of an inventory.
func (a *App) NewStocker(inventory node.Inventory) *workers.Stocker {
	return workers.NewStocker(a.WorkerDeps(), inventory, a.Config.Inventory.Encoders, a.Config.Heartbeat.Challenges)
}
