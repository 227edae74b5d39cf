package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/apiserver"
	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/clock"
	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/disk"
	"github.com/driveshare/downstream-node/internal/geo"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/redisdb"
	"github.com/driveshare/downstream-node/internal/store"
)

func newDoctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check all that a node needs, on one screen",
		Long: "Checks the configuration, the database and its tables, the heartbeat keys, Redis, the\n" +
			"clock, the certificate, the location database and the disk. It changes nothing, and the\n" +
			"node may run. It exits with 1 if a check fails; a warning does not count.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := &doctor{table: tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)}
			cfg, err := loadConfig(cmd, app.Default())
			if err == nil && cfg.Database.Driver == store.MySQL {
				err = cfg.Replicable()
			}
			path, _ := cmd.Flags().GetString("config") // the flag exists
			if err == nil && path == "" {
				d.report("configuration", "", warning("no file, only defaults and the environment: if the node has a file, name it with --config"))
			} else {
				d.report("configuration", path, err)
			}
			if err == nil {
				d.examine(cmd.Context(), cfg)
			}
			if err := d.table.Flush(); err != nil {
				return err
			}
			if d.failed > 0 {
				return fmt.Errorf("doctor: %s failed", node.Counted(d.failed, "check"))
			}
			return nil
		},
	}
}

// doctor prints the results of checks.
type doctor struct {
	table  *tabwriter.Writer
	failed int64
}

// warning is the result of a check that finds something that may become a problem.
type warning string

func (w warning) Error() string { return string(w) }

// report prints a result: finding, or err if there is one.
func (d *doctor) report(name, finding string, err error) {
	result := "ok"
	if err != nil {
		result, finding = "FAILS", err.Error()
		if _, ok := errors.AsType[warning](err); ok {
			result = "warning"
		} else {
			d.failed++
		}
	}
	for line := range strings.Lines(finding) {
		fmt.Fprintf(d.table, "%s\t%s\t%s\n", name, result, strings.TrimSuffix(line, "\n"))
		name, result = "", ""
	}
}

// doctorPatience limits each check of a server.
const doctorPatience = 10 * time.Second

func (d *doctor) examine(ctx context.Context, cfg app.Config) {
	check := func(name string, run func(context.Context) (string, error)) bool {
		ctx, cancel := context.WithTimeout(ctx, doctorPatience)
		defer cancel()
		finding, err := run(ctx)
		d.report(name, finding, err)
		_, warned := errors.AsType[warning](err)
		return err == nil || warned
	}
	check("secrets", func(context.Context) (string, error) {
		if exposed := config.Exposed(&cfg); len(exposed) > 0 {
			return "", warning(strings.Join(exposed, "\n"))
		}
		return "no file with a secret is open to every user", nil
	})
	quiet := slog.New(slog.DiscardHandler)
	var st *store.Store
	if check("database", func(ctx context.Context) (string, error) {
		err := needDatabase(cfg.Database)
		if err == nil {
			st, err = store.Open(cfg.Database, quiet)
		}
		if err == nil {
			err = st.Ping(ctx)
		}
		return cfg.Database.Where(), err
	}) {
		check("tables and keys", func(ctx context.Context) (string, error) { return checkRecords(ctx, cfg, st) })
		check("clock", func(ctx context.Context) (string, error) { return checkClock(ctx, st) })
	} else {
		fmt.Fprint(d.table, "tables and keys\tnot run\tthe database must work first\nclock\tnot run\tthe database must work first\n")
	}
	if st != nil {
		defer st.Close()
	}
	check("redis", func(ctx context.Context) (string, error) { return checkRedis(ctx, cfg) })
	check("certificate", func(context.Context) (string, error) { return checkCertificate(cfg.API.TLS, time.Now()) })
	check("locations", func(context.Context) (string, error) { return checkLocations(cfg.Geo.File, time.Now()) })
	check("disk", func(context.Context) (string, error) { return checkDisk(cfg.Database) })
}

func checkRecords(ctx context.Context, cfg app.Config, st *store.Store) (string, error) {
	found, err := inspect(ctx, cfg, st)
	if err == nil {
		err = found.problem()
	}
	return fmt.Sprintf("version %d; %s; %s in files; last heartbeat %s; last process seen %s", found.Have, node.Counted(found.Live, "live contract"),
		node.Counted(int64(len(found.keys)), "heartbeat key"), whenever(found.Heartbeat), whenever(found.Seen)), err
}

func checkClock(ctx context.Context, st *store.Store) (string, error) {
	c := clock.New(st.Now, slog.New(slog.DiscardHandler))
	if err := c.Measure(ctx); err != nil {
		return "", err
	}
	skew := c.Skew().Round(time.Millisecond)
	err := c.Check(ctx)
	if err == nil && skew.Abs() > time.Second {
		err = warning(fmt.Sprintf("this machine's clock is %v ahead of the database's; synchronize both machines with NTP", skew))
	}
	return fmt.Sprintf("%v ahead of the database's", skew), err
}

var evictionPolicy = regexp.MustCompile(`(?m)^maxmemory_policy:(\S+)`)

func checkRedis(ctx context.Context, cfg app.Config) (string, error) {
	server := cfg.Redis.Server
	if !server.Configured() {
		return "part of the process of the standalone node", nil
	}
	db, err := redisdb.Open(redisdb.Options{Config: server, Namespace: cfg.Node.Name})
	if err != nil {
		return "", err
	}
	defer db.Close()
	if err := db.Probe(ctx); err != nil {
		return "", fmt.Errorf("%s: %w", server.Where(), err)
	}
	info, err := db.Client.Info(ctx, "memory").Result()
	policy := evictionPolicy.FindStringSubmatch(info)
	if err == nil && policy != nil && policy[1] != "noeviction" {
		return "", warning(fmt.Sprintf("%s has the maxmemory-policy %s, so it may delete jobs: set noeviction", server.Where(), policy[1]))
	}
	return server.Where(), nil
}

func checkCertificate(files apiserver.TLSConfig, now time.Time) (string, error) {
	if files.CertFile == "" {
		return "none (api.tls): farmers use plain HTTP, unless a proxy in front of the node has a certificate", nil
	}
	pair, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	if err != nil {
		return "", fmt.Errorf("api.tls: %w", err)
	}
	end := pair.Leaf.NotAfter
	text := fmt.Sprintf("%s is valid until %s", files.CertFile, whenever(end))
	switch left := end.Sub(now); {
	case left <= 0:
		return "", fmt.Errorf("%s expired at %s: renew it", files.CertFile, whenever(end))
	case now.Before(pair.Leaf.NotBefore):
		return "", fmt.Errorf("%s is not valid before %s: check this machine's clock", files.CertFile, whenever(pair.Leaf.NotBefore))
	case left < apiserver.RenewBefore:
		return "", warning(text + ": renew it")
	}
	return text, nil
}

// oldLocations is the age from which a location database should be replaced. New ones
// appear every week.
const oldLocations = 60 * 24 * time.Hour

func checkLocations(file string, now time.Time) (string, error) {
	if file == "" {
		return "no database (geo.file): the page shows no locations", nil
	}
	kind, built, err := geo.Inspect(file)
	if err != nil {
		return "", fmt.Errorf("geo.file %s: %w", file, err)
	}
	text := fmt.Sprintf("%s of %s", kind, built.Format(time.DateOnly))
	if now.Sub(built) > oldLocations {
		return "", warning(text + " is old: replace " + file)
	}
	return text, nil
}

// littleRoom is the free space below which doctor warns.
const littleRoom = 1 << 30

func checkDisk(cfg store.Config) (string, error) {
	if cfg.Driver != store.SQLite {
		return "the records are on the database server", nil
	}
	dir := filepath.Dir(cfg.Path)
	free, err := disk.Free(dir)
	if err != nil {
		return "", fmt.Errorf("%s: %w", dir, err)
	}
	text := fmt.Sprintf("%s free in %s", humanize.IBytes(free), dir)
	if free < littleRoom {
		return "", warning(text + ": free some space, because the node stops if the disk is full")
	}
	return text, nil
}
