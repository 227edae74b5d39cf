package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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
	keysInDir := len(cfg.Heartbeat.KeyFiles) == 0
	if keysInDir {
		if cfg.Heartbeat.KeyFiles, err = standaloneKeys(cfg, dir); err != nil {
			return err
		}
	}
	a, err := Open(ctx, cfg, log, Options{Kind: store.KindStandalone, Profiles: cfg.API.Private.Pprof})
	if err != nil {
		return err
	}
	defer a.Close()
	a.demo = demo > 0
	if err := a.Store.Migrate(ctx); err != nil {
		return err
	}
	if err := a.Join(ctx); err != nil {
		return err
	}
	if demo > 0 && cfg.Inventory.Redundancy > 1 {
		log.Warn("the demo's farmers are all in one network, so no file gets the second copy that inventory.redundancy asks for", "redundancy", cfg.Inventory.Redundancy)
	}
	private, err := a.private(ctx, "api", cfg.API.Private.Listen)
	if err != nil {
		return fmt.Errorf("%w\nanother node may be running; DOWNSTREAM_API_PRIVATE_LISTEN=localhost:0 takes any free port", err)
	}
	ln, err := apiserver.Listen(ctx, cfg.API, cfg.Contracts, log)
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
	if keysInDir {
		services = append(services, Service{"heartbeat keys", func(ctx context.Context) error { return a.followKeys(ctx, dir, cfg.Heartbeat.KeyFiles) }})
	}
	if demo > 0 {
		services = append(services, demoFarmers(log, url, filepath.Join(dir, "farmers"), demo))
	}
	a.Ops.Serve()
	fmt.Fprintf(out, "The node is running. Its page: %s/\nCtrl-C stops it; everything is kept in %s.\n", url, dir)
	return Run(ctx, services...)
}

// firstKeyFile is the name of a standalone node's first heartbeat key, in the directory of its
// database. The keys that replaced it are in heartbeat-2.json, heartbeat-3.json and so on.
const firstKeyFile = "heartbeat.json"

var laterKeyFile = regexp.MustCompile(`^heartbeat-([0-9]{1,9})\.json$`)

// StandaloneKeyFiles returns the paths of a standalone node's heartbeat keys, the newest
// first.
func StandaloneKeyFiles(dir string) (paths []string) {
	numbers := keyFileNumbers(dir)
	for _, n := range slices.Backward(slices.Sorted(maps.Keys(numbers))) {
		paths = append(paths, filepath.Join(dir, numbers[n]))
	}
	return paths
}

// NextKeyFile returns the path of the next heartbeat key of a standalone node.
func NextKeyFile(dir string) string {
	newest := 1
	for n := range keyFileNumbers(dir) {
		newest = max(newest, n)
	}
	return filepath.Join(dir, fmt.Sprintf("heartbeat-%d.json", newest+1))
}

// keyFileNumbers returns the names of the key files in dir by their numbers.
func keyFileNumbers(dir string) map[int]string {
	numbers := map[int]string{}
	entries, _ := os.ReadDir(dir) // a directory that cannot be read has no keys, and then the caller says so
	for _, e := range entries {
		if e.Name() == firstKeyFile {
			numbers[1] = firstKeyFile
		} else if m := laterKeyFile.FindStringSubmatch(e.Name()); m != nil {
			if n, err := strconv.Atoi(m[1]); err == nil && n > 1 {
				numbers[n] = e.Name()
			}
		}
	}
	return numbers
}

// standaloneKeys returns the heartbeat key files in dir, the newest first. It creates the
// heartbeat key of a new node. It returns an error if there is a database but no heartbeat key.
func standaloneKeys(cfg Config, dir string) ([]string, error) {
	if paths := StandaloneKeyFiles(dir); len(paths) > 0 {
		_, err := keyring.Load(paths)
		return paths, err
	}
	key := filepath.Join(dir, firstKeyFile)
	if _, err := os.Stat(cfg.Database.Path); err == nil {
		return nil, fmt.Errorf("the heartbeat key %s is missing, and no other key can check the contracts in %s: restore it from a backup, or start a new node in another --data directory", key, cfg.Database.Path)
	}
	_, err := keyring.LoadOrCreate(key, cfg.Heartbeat.Type, cfg.Heartbeat.CheckFraction)
	return []string{key}, err
}

// followKeys registers the keys in dir again if their files change, until ctx ends. So a key
// that `keys rotate` made needs no restart.
func (a *App) followKeys(ctx context.Context, dir string, loaded []string) error {
	for wait := time.Second; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		paths := StandaloneKeyFiles(dir)
		if slices.Equal(paths, loaded) {
			continue
		}
		cfg := a.Config.Heartbeat
		cfg.KeyFiles = paths
		heartbeats, err := cfg.Load(a.Config.Contracts.Interval)
		if err == nil {
			err = a.Keys.Replace(ctx, a.Store, heartbeats, a.Now())
		}
		if err != nil {
			a.Log.Error("cannot use the changed heartbeat key files, so the keys that were loaded before stay in use until the node stops; it would not start again", "files", paths, "error", err)
			wait = 10 * time.Second
			continue
		}
		loaded, wait = paths, time.Second
		a.Log.Info("loaded the changed heartbeat keys", "files", paths)
	}
}

// localAddress returns the host and port at which this machine reaches ln.
func localAddress(ln net.Listener) string {
	host, port, _ := net.SplitHostPort(ln.Addr().String())
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() || ip.IsLoopback() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// LockFile is the file in a directory that LockDir locks.
const LockFile = "lock"

// LockDir creates a directory if it does not exist. Other processes cannot use the
// directory until the caller calls unlock or this process ends.
func LockDir(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(dir, LockFile))
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
