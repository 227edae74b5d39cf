package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/program"
)

func newAPICommand() *cobra.Command {
	return &cobra.Command{
		Use:   "api",
		Short: "Serve farmers: one API replica",
		Long:  "Serves farmers. Any number of replicas share a database and a Redis.\n`downstream-node worker` processes verify their proofs.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadReplicable(cmd)
			if err != nil {
				return err
			}
			return app.ServeAPI(cmd.Context(), cfg, program.NewLogger(cfg.Log, os.Stderr))
		},
	}
}

func newWorkerCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "worker",
		Short: "Verify proofs, stock the inventory, sweep: one worker",
		Long:  "Verifies the proofs that API replicas queue, keeps the inventory stocked, and\nsweeps expired contracts. Any number of workers share the work.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadReplicable(cmd)
			if err != nil {
				return err
			}
			return app.ServeWorker(cmd.Context(), cfg, program.NewLogger(cfg.Log, os.Stderr))
		},
	}
}

func newStandaloneCommand() *cobra.Command {
	var (
		data string
		demo int
	)
	cmd := &cobra.Command{
		Use:   "standalone",
		Short: "Run a whole node in one process",
		Long: "Runs API, worker and inventory in one process, on an SQLite database and an\n" +
			"embedded Redis, with all data in one directory. With --demo it runs farmers\n" +
			"against itself, with a short interval and small chunks.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if demo < 0 {
				return errors.New("--demo: must not be negative")
			}
			cfg, err := loadConfig(cmd, app.StandaloneDefaults(data, demo))
			if err != nil {
				return err
			}
			return app.ServeStandalone(cmd.Context(), cfg, program.NewLogger(cfg.Log, os.Stderr), data, demo, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&data, "data", "data", "directory for the database, the heartbeat key and the demo's files")
	cmd.Flags().IntVar(&demo, "demo", 0, "number of farmers to run against this node")
	return cmd
}

// loadReplicable reads the configuration of a process that shares its node
// with others.
func loadReplicable(cmd *cobra.Command) (app.Config, error) {
	cfg, err := loadConfig(cmd, app.Default())
	if err != nil {
		return cfg, err
	}
	if err := cfg.Replicable(); err != nil {
		return cfg, fmt.Errorf("%w\nto run everything in one process, use `downstream-node standalone`", err)
	}
	return cfg, nil
}
