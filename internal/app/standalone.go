package app

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
	"strconv"
	"time"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/gofrs/flock"
	"golang.org/x/sync/errgroup"

	"github.com/driveshare/downstream-node/apiserver"
	"github.com/driveshare/downstream-node/internal/farmer"
	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/sjcx"
	"github.com/driveshare/downstream-node/internal/store"
)

// StandaloneDefaults returns the configuration of a standalone node, before the
// configuration file and the environment change it. demo is the number of demo
// farmers.
func StandaloneDefaults(dir string, demo int) Config {
	c := Default()
	c.Access.Whitelist = false
	c.Access.Signatures = false
	c.Log.Format = "text"
	c.API.Listen = "localhost:5000"
	c.API.Private.Listen = "localhost:9090"
	c.API.DrainDelay = 0 // there is no load balancer
	c.Database.Path = filepath.Join(dir, "downstream.db")
	if demo > 0 {
		c.Contracts.Interval = 30 * time.Second
		// The demo farmers share one IP address, and take all their contracts at once.
		c.Contracts.TokensPerIP += demo
		c.Contracts.UnprovenPerToken, c.Contracts.UnprovenBytesPerToken, c.Contracts.InventoryShare = 0, 0, 0
		c.Inventory.MaxChunkSize = 1 << 20
		c.Inventory.TotalSize = 64 << 20
		c.Log.Level = slog.LevelWarn // so that the URL of the page stays visible in the terminal
	}
	return c
}

// ServeStandalone runs a whole node, with demo farmers, until ctx ends. Its data is
// in dir, and demo is the number of demo farmers. It prints the URL of the node's
// page to out.
func ServeStandalone(ctx context.Context, cfg Config, log *slog.Logger, dir string, demo int, out io.Writer) error {
	if err := cfg.TakeoverInTime(); err != nil {
		return err
	}
	unlock, err := LockDir(dir)
	if err != nil {
		return err
	}
	defer unlock()
	if len(cfg.Heartbeat.KeyFiles) == 0 {
		if cfg.Heartbeat.KeyFiles, err = makeKey(cfg, dir); err != nil {
			return err
		}
	}
	a, err := Open(ctx, cfg, log, Options{Kind: store.KindStandalone, Profiles: cfg.API.Private.Pprof})
	if err != nil {
		return err
	}
	defer a.Close()
	if err := a.Store.Migrate(ctx); err != nil {
		return err
	}
	if err := a.Join(ctx); err != nil {
		return err
	}
	private, err := a.private(ctx, cfg.API.Private.Listen)
	if err != nil {
		return fmt.Errorf("%w\nanother node may be running; DOWNSTREAM_API_PRIVATE_LISTEN=localhost:0 takes any free port", err)
	}
	ln, err := apiserver.Listen(ctx, cfg.API, cfg.Contracts)
	if err != nil {
		return fmt.Errorf("%w\nanother node may be running; DOWNSTREAM_API_LISTEN=localhost:5001 takes another port", err)
	}
	api, err := a.api(ctx, ln)
	if err != nil {
		return err
	}
	services := append([]Service{private, {"checks", a.Ops.Watch}}, a.watch()...)
	services = append(services, a.Workers(uniqueName())...)
	services = append(services, api...)
	url := "http://" + localAddress(ln)
	if cfg.API.TLS.CertFile != "" {
		url = "https://" + localAddress(ln)
	}
	if demo > 0 {
		services = append(services, demoFarmers(log, url, filepath.Join(dir, "farmers"), demo))
	}
	a.Ops.Serve()
	fmt.Fprintf(out, "The node is running. Its page: %s/\nCtrl-C stops it; everything is kept in %s.\n", url, dir)
	return Run(ctx, services...)
}

// StandaloneKeyFile returns the path of a standalone node's heartbeat key, in the
// directory of its database.
func StandaloneKeyFile(dir string) string { return filepath.Join(dir, "heartbeat.json") }

// makeKey returns the heartbeat key file in dir. It creates the heartbeat key of a
// new node. It returns an error if there is a database but no heartbeat key.
func makeKey(cfg Config, dir string) ([]string, error) {
	key := StandaloneKeyFile(dir)
	_, noKey := os.Stat(key)
	_, noDatabase := os.Stat(cfg.Database.Path)
	if errors.Is(noKey, fs.ErrNotExist) && noDatabase == nil {
		return nil, fmt.Errorf("the heartbeat key %s is missing, and no other key can check the contracts in %s: restore it from a backup, or start a new node in another --data directory", key, cfg.Database.Path)
	}
	_, err := keyring.LoadOrCreate(key, cfg.Heartbeat.Type, cfg.Heartbeat.CheckFraction)
	return []string{key}, err
}

// localAddress returns the host and port at which this machine reaches ln.
func localAddress(ln net.Listener) string {
	host, port, _ := net.SplitHostPort(ln.Addr().String())
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() || ip.IsLoopback() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// LockDir creates a directory if it does not exist. Other processes cannot use the
// directory until the caller calls unlock or this process ends.
func LockDir(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(dir, "lock"))
	held, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	if !held {
		return nil, fmt.Errorf("another process uses %s: stop it, or choose another directory", dir)
	}
	return func() { _ = lock.Unlock() }, nil
}

// demoSize is the number of bytes that each demo farmer stores.
const demoSize = 2 << 20

// demoFarmers runs farmers against the node at url. Each farmer has its own SJCX
// address. The farmers keep their tokens and chunks in dir.
func demoFarmers(log *slog.Logger, url, dir string, number int) Service {
	return Service{"demo farmers", func(ctx context.Context) error {
		client, err := farmer.NewClient(url, farmer.ClientConfig{})
		if err != nil {
			return err
		}
		defer client.Close()
		group, ctx := errgroup.WithContext(ctx)
		for i := range number {
			key, err := secp256k1.GeneratePrivateKey()
			if err != nil {
				return fmt.Errorf("make an address: %w", err)
			}
			f, err := farmer.New(farmer.Config{
				Client:    client,
				Address:   sjcx.Address(key.PubKey(), true), // used in its first run; later the farmer has a token
				Dir:       filepath.Join(dir, strconv.Itoa(i+1)),
				Size:      demoSize,
				TakeEvery: 2 * time.Second,
				Logger:    log.With("farmer", i+1),
			})
			if err != nil {
				return err
			}
			group.Go(func() error { return f.Run(ctx) })
		}
		return group.Wait()
	}}
}
