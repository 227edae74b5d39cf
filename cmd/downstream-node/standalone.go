package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/apiserver"
	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/keyring"
)

func newStandaloneCommand() *cobra.Command {
	var (
		data string
		demo int
	)
	cmd := &cobra.Command{
		Use:   "standalone",
		Short: "Run a whole node in one process",
		Long: "Runs API, worker and inventory in one process, on an SQLite database and a\n" +
			"Redis inside it, with all data in one directory. With --demo it farms against\n" +
			"itself, on a short interval and small chunks.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if demo < 0 {
				return errors.New("--demo: must not be negative")
			}
			cfg, err := loadConfig(cmd, standaloneBase(data, demo))
			if err != nil {
				return err
			}
			return serveStandalone(cmd.Context(), cfg, data, demo, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&data, "data", "data", "directory for the database, the heartbeat key and the demo's files")
	cmd.Flags().IntVar(&demo, "demo", 0, "number of farmers to run against this node")
	return cmd
}

// standaloneBase is what a standalone node does where neither the file nor the
// environment says otherwise.
func standaloneBase(data string, demo int) config.Config {
	c := config.Standalone()
	c.API.Listen = "localhost:5000"
	c.API.PrivateListen = "localhost:9090"
	c.API.DrainDelay = 0 // no load balancer in front
	c.Database.Path = filepath.Join(data, "downstream.db")
	if demo > 0 {
		c.Contracts.Interval = 30 * time.Second
		c.Contracts.TokensPerIP += demo // the demo's come from this machine's one address
		c.Inventory.MaxChunkSize = 1 << 20
		c.Inventory.TotalSize = 64 << 20
		c.Log.Level = slog.LevelWarn // the page's address is to stay in sight
	}
	return c
}

func serveStandalone(ctx context.Context, cfg config.Config, data string, demo int, out io.Writer) error {
	unlock, err := lockDir(data)
	if err != nil {
		return err
	}
	defer unlock()
	if len(cfg.Heartbeat.KeyFiles) == 0 {
		if cfg.Heartbeat.KeyFiles, err = ownKey(cfg, data); err != nil {
			return err
		}
	}
	p, err := openProcess(ctx, cfg, newLogger(cfg.Log), cfg.API.Pprof)
	if err != nil {
		return err
	}
	defer p.close()
	if err := p.store.Migrate(ctx); err != nil {
		return err
	}
	if err := p.join(ctx); err != nil {
		return err
	}
	private, err := p.private(ctx, cfg.API.PrivateListen)
	if err != nil {
		return fmt.Errorf("%w\nanother node may be running; DOWNSTREAM_API_PRIVATE_LISTEN=localhost:0 takes any free port", err)
	}
	ln, err := apiserver.Listen(ctx, listening(cfg.API))
	if err != nil {
		return fmt.Errorf("%w\nanother node may be running; DOWNSTREAM_API_LISTEN=localhost:5001 takes another port", err)
	}
	api, err := p.api(ctx, ln)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	services := append([]service{private}, p.workers(workerName())...)
	services = append(services, api...)
	url := "http://" + localAddress(ln)
	if demo > 0 {
		services = append(services, demoFarmers(p, url, filepath.Join(data, "farmers"), demo))
	}
	p.ops.Serve()
	fmt.Fprintf(out, "The node is running. Its page: %s/\nCtrl-C stops it; everything is kept in %s.\n", url, data)
	return sequence(ctx, services...)
}

// ownKeyFile is the name of a standalone node's key, beside its database.
const ownKeyFile = "heartbeat.json"

// ownKey names the key that the node keeps beside its database, and makes it
// for a node that has neither.
func ownKey(cfg config.Config, data string) ([]string, error) {
	key := filepath.Join(data, ownKeyFile)
	_, noKey := os.Stat(key)
	_, noDatabase := os.Stat(cfg.Database.Path)
	if errors.Is(noKey, fs.ErrNotExist) && noDatabase == nil {
		return nil, fmt.Errorf("the heartbeat key %s is gone, and the contracts in %s can be checked with no other: restore it from a backup, or begin anew in another --data directory", key, cfg.Database.Path)
	}
	_, err := keyring.LoadOrCreate(key, cfg.Heartbeat.Type, cfg.Heartbeat.CheckFraction)
	return []string{key}, err
}

// localAddress is how this machine reaches ln.
func localAddress(ln net.Listener) string {
	host, port, _ := net.SplitHostPort(ln.Addr().String())
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() || ip.IsLoopback() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
