package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/apiserver"
	"github.com/driveshare/downstream-node/internal/config"
)

func newAPICommand() *cobra.Command {
	return &cobra.Command{
		Use:   "api",
		Short: "Answer farmers: one API replica",
		Long:  "Answers farmers. Any number of replicas share a database and a Redis; their\nproofs are verified by `downstream-node worker` processes.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadReplicable(cmd)
			if err != nil {
				return err
			}
			return serveAPI(cmd.Context(), cfg)
		},
	}
}

func newWorkerCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "worker",
		Short: "Verify proofs, stock the inventory, sweep: one worker",
		Long:  "Verifies the proofs that API replicas queue, keeps the inventory stocked, and\nsweeps up expired contracts. Any number of workers share the work.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadReplicable(cmd)
			if err != nil {
				return err
			}
			return serveWorker(cmd.Context(), cfg)
		},
	}
}

// loadReplicable reads the configuration of a process that shares its node
// with others.
func loadReplicable(cmd *cobra.Command) (config.Config, error) {
	cfg, err := loadConfig(cmd, config.Default())
	if err != nil {
		return cfg, err
	}
	if err := cfg.Replicable(); err != nil {
		return cfg, fmt.Errorf("%w\nfor everything in one process use `downstream-node standalone`", err)
	}
	return cfg, nil
}

func serveAPI(ctx context.Context, cfg config.Config) error {
	p, err := openProcess(ctx, cfg, newLogger(cfg.Log), cfg.API.Pprof)
	if err != nil {
		return err
	}
	defer p.close()
	private, err := p.private(ctx, cfg.API.PrivateListen)
	if err != nil {
		return err
	}
	return sequence(ctx, private, service{"api", func(ctx context.Context) error {
		if err := p.join(ctx); err != nil {
			return err
		}
		ln, err := apiserver.Listen(ctx, listening(cfg.API))
		if err != nil {
			return err
		}
		services, err := p.api(ctx, ln)
		if err != nil {
			return err
		}
		p.log.Info("answering farmers", "address", ln.Addr().String())
		p.ops.Serve()
		return sequence(ctx, services...)
	}})
}

func serveWorker(ctx context.Context, cfg config.Config) error {
	p, err := openProcess(ctx, cfg, newLogger(cfg.Log), cfg.Worker.Pprof)
	if err != nil {
		return err
	}
	defer p.close()
	private, err := p.private(ctx, cfg.Worker.PrivateListen)
	if err != nil {
		return err
	}
	return sequence(ctx, private, service{"worker", func(ctx context.Context) error {
		if err := p.join(ctx); err != nil {
			return err
		}
		name := workerName()
		p.log.Info("working", "name", name, "verify", cfg.Worker.Duties.Verify, "stock", cfg.Worker.Duties.Stock, "sweep", cfg.Worker.Duties.Sweep)
		p.ops.Serve()
		return sequence(ctx, p.workers(name)...)
	}})
}

// workerName is the pod's name, made unique for those who start several
// workers on one host.
func workerName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "worker"
	}
	return host + "-" + rand.Text()[:6]
}
