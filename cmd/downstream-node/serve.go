package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/program"
)

func newAPICommand() *cobra.Command {
	return &cobra.Command{
		Use:   "api",
		Short: "Serve farmers: one API replica",
		Long:  "Serves farmers. Any number of replicas share a database and a Redis.\n`downstream-node worker` processes verify their proofs.",
		Args:  cobra.NoArgs,
		RunE:  replica(app.ServeAPI),
	}
}

func newWorkerCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "worker",
		Short: "Verify proofs, stock the inventory, sweep: one worker",
		Long:  "Verifies the proofs that API replicas queue, keeps the inventory stocked, and\nsweeps expired contracts. Any number of workers share the work.",
		Args:  cobra.NoArgs,
		RunE:  replica(app.ServeWorker),
	}
}

// replica returns the RunE of a process that shares its node with other processes.
func replica(serve func(context.Context, app.Config, *slog.Logger) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		cfg, err := loadConfig(cmd, app.Default())
		if err != nil {
			return err
		}
		if err := cfg.Replicable(); err != nil {
			if path, _ := cmd.Flags().GetString("config"); path == "" {
				err = fmt.Errorf("no configuration file is named (--config or DOWNSTREAM_CONFIG), and the defaults lack something:\n%w", err)
			}
			return fmt.Errorf("%w\nto run everything in one process, use `downstream-node standalone`", err)
		}
		return logged(cmd, cfg, func(log *slog.Logger) error { return serve(cmd.Context(), cfg, log) })
	}
}

// logged runs a process with its log. The log says when the process starts and stops.
func logged(cmd *cobra.Command, cfg app.Config, serve func(*slog.Logger) error) error {
	log := startLog(cmd, cfg)
	said := make(chan struct{})
	forget := context.AfterFunc(cmd.Context(), func() {
		log.Info("stopping: requests and jobs in flight can end")
		close(said)
	})
	err := serve(log)
	if !forget() {
		<-said
	}
	if err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}

// startLog makes the log of a process, and writes its first line. The line has no
// credentials.
func startLog(cmd *cobra.Command, cfg app.Config) *slog.Logger {
	log := program.NewLogger(cfg.Log, cmd.ErrOrStderr())
	slog.SetDefault(log)                       // so that libraries write the same format
	path, _ := cmd.Flags().GetString("config") // the flag exists
	log.Info("starting", "process", cmd.Name(), "version", program.Release(), "node", cfg.Node.Name, "config", path,
		"database", cfg.Database.Where(), "redis", cfg.Redis.Server.Where())
	return log
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
			"embedded Redis, with all data in one directory. With --demo it also runs farmers\n" +
			"for this node, with a short interval and small chunks.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if demo < 0 {
				return errors.New("--demo: must not be negative")
			}
			cfg, err := loadConfig(cmd, app.StandaloneDefaults(data, demo))
			if err != nil {
				return err
			}
			if demo > 0 && cfg.Access.Signatures {
				return errors.New("--demo: the demo's farmers have no wallets to sign with, so set access.signatures to false, or leave out --demo")
			}
			return logged(cmd, cfg, func(log *slog.Logger) error {
				return app.ServeStandalone(cmd.Context(), cfg, log, data, demo, cmd.OutOrStdout())
			})
		},
	}
	cmd.Flags().StringVar(&data, "data", "data", "directory for the database, the heartbeat key and the demo's files")
	cmd.Flags().IntVar(&demo, "demo", 0, "number of farmers to run against this node")
	return cmd
}

func newConfigCommand() *cobra.Command {
	var standalone bool
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print the configuration in use, with secrets masked",
		Long: "Prints the configuration that api, worker and the commands on the records use,\n" +
			"with secrets masked; with --standalone, the one of a standalone node.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			base := app.Default()
			if standalone {
				base = app.StandaloneDefaults("data", 0)
			}
			cfg, err := loadConfig(cmd, base)
			if err != nil {
				return err
			}
			text, err := config.Redacted(cfg)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
	cmd.Flags().BoolVar(&standalone, "standalone", false, "print the configuration of downstream-node standalone")
	return cmd
}
