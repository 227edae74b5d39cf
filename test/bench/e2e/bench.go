package main

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/test/bench/report"
	"github.com/driveshare/downstream-node/test/deployment"
	"github.com/driveshare/downstream-node/test/scale"
)

// options are the flags.
type options struct {
	quick    bool
	workers  int
	profiles string
}

// bench is a run of this program.
type bench struct {
	*program
	options
	progress report.Progress
	binary   string
	encoded  int      // number of files encoded so far; each file has different content
	servers  []string // versions of the servers, for the head of the report
	load     string   // load of the machine before the run

	updates []report.Figure // rates of bare UPDATEs; see updateLimit
	node    *running        // started by the first part that needs it
}

// running is a node that runs.
type running struct {
	*deployment.Node
	db      *sql.DB
	api     *deployment.Replica
	workers []*deployment.Replica
	merkle  *farm // made by the first part that needs it
}

// repetitions is the number of measurements of a figure, without the warm-up.
func (b *bench) repetitions() int {
	if b.quick {
		return 3
	}
	return 5
}

// scaled returns n, a size of the load. In a quick run it returns a tenth of n.
func (b *bench) scaled(n int) int {
	if b.quick {
		return max(n/10, 1)
	}
	return n
}

// figure measures once to warm up, and then repetitions times.
func (b *bench) figure(name, unit string, measure func() float64) report.Figure {
	f := report.New(name, unit)
	for i := range b.repetitions() + 1 {
		if i == 1 {
			defer b.profile(name)()
		}
		b.progress.Step("%s, %d of %d", name, i, b.repetitions())
		b.stopIfInterrupted()
		if sample := measure(); i > 0 {
			f.Samples = append(f.Samples, sample)
		}
	}
	return f
}

func (b *bench) stopIfInterrupted() {
	if b.ctx.Err() != nil {
		b.Fatal("interrupted")
	}
}

// parallel calls do for each of n numbers, with at most limit calls at the same
// time.
func (b *bench) parallel(n, limit int, do func(ctx context.Context, i int) error) {
	group, ctx := errgroup.WithContext(b.ctx)
	group.SetLimit(limit)
	for i := range n {
		group.Go(func() error { return do(ctx, i) })
	}
	b.must(group.Wait())
}

// start returns the node that most parts share. The first call starts it.
func (b *bench) start() *running {
	if b.node == nil {
		b.progress.Step("building and starting the node")
		b.node = b.deploy()
		b.node.api = b.node.API(b, nil)
		b.node.setWorkers(b, b.workers)
	}
	return b.node
}

// setWorkers stops the workers and starts that number of new workers.
func (n *running) setWorkers(b *bench, workers int) {
	for _, w := range n.workers {
		w.Terminate(b)
	}
	n.workers = nil
	for range workers {
		n.workers = append(n.workers, n.Worker(b, nil))
	}
}

// These constants are the sizes of MariaDB's memory and log, in bytes. The manuals
// recommend that the tables fit into memory and that the log is flushed rarely.
const (
	bufferPool = 2 << 30
	logFile    = 1 << 30
)

// deploy starts the servers of a node.
func (b *bench) deploy() *running {
	if b.binary == "" {
		binary, err := deployment.Build(b.TempDir())
		b.must(err)
		b.binary = binary
	}
	n := &running{Node: deployment.Start(b, b.binary, testenv.Durable, deployment.Settings{
		"contracts.interval":        interval.String(),
		"contracts.tokensPerIP":     "1000000",
		"contracts.bytesPerAddress": "1TiB",
		"contracts.unreachableHold": "0s", // most farmers of the records send no proofs
		"worker.duties.stock":       "false",
		"api.pprof":                 "true",
		"worker.pprof":              "true",
	})}
	n.MariaDB.SetGlobal(b, "innodb_buffer_pool_size", fmt.Sprint(bufferPool))
	n.MariaDB.SetGlobal(b, "innodb_log_file_size", fmt.Sprint(logFile))
	n.db = n.Database(b)
	n.db.SetMaxIdleConns(16)
	if b.servers == nil {
		b.servers = n.servers(b)
	}
	return n
}

// servers returns the versions and settings of MariaDB and Redis.
func (n *running) servers(b *bench) []string {
	var version, flush string
	n.query(b, []any{&version, &flush}, "SELECT VERSION(), @@innodb_flush_log_at_trx_commit")
	server, err := n.OpenRedis(b).Info(b.ctx, "server").Result()
	b.must(err)
	_, rest, _ := strings.Cut(server, "redis_version:")
	redisVersion, _, _ := strings.Cut(rest, "\r\n")
	return []string{
		fmt.Sprintf("MariaDB %s, innodb_flush_log_at_trx_commit=%s, buffer pool %d MiB, log %d MiB",
			version, flush, bufferPool>>20, logFile>>20),
		fmt.Sprintf("Redis %s; 1 API replica, workers: %d", redisVersion, b.workers),
	}
}

// query reads one row.
func (n *running) query(b *bench, into []any, query string, args ...any) {
	b.must(n.db.QueryRowContext(b.ctx, query, args...).Scan(into...))
}

// exec runs a statement and returns the number of rows that it changed.
func (n *running) exec(b *bench, statement string, args ...any) int64 {
	result, err := n.db.ExecContext(b.ctx, statement, args...)
	b.must(err)
	rows, err := result.RowsAffected()
	b.must(err)
	return rows
}

// insert inserts n rows. row returns the values of the i-th row.
func (n *running) insert(b *bench, table, columns string, rows int, row func(i int) []any) {
	b.must(scale.Insert(b.ctx, n.db, table, columns, rows, row, nil))
}

// nextID returns an id that is larger than all ids in the table.
func (n *running) nextID(b *bench, table string) (id int64) {
	n.query(b, []any{&id}, "SELECT COALESCE(MAX(id), 0) + 1 FROM "+table)
	return id
}

// publish prints the table. If document is not empty, publish also writes the table
// to document.
func (b *bench) publish(figures []report.Figure, document string) error {
	var text bytes.Buffer
	fmt.Fprintln(&text, "```text")
	for _, line := range append(report.Machine(b.load), b.servers...) {
		fmt.Fprintln(&text, line)
	}
	fmt.Fprintf(&text, "%s for this run\n```\n\n", time.Since(b.began).Round(time.Second))
	report.Print(&text, figures)
	if _, err := os.Stdout.Write(text.Bytes()); err != nil || document == "" {
		return err
	}
	return report.WriteSection(document, "make bench-e2e", text.String())
}

// profileSeconds is approximately the time of two repetitions.
const profileSeconds = 8

// profile starts a CPU profile of each of the node's processes, if the flag names a
// directory for the profiles. wait returns after the profiles are written.
func (b *bench) profile(figure string) (wait func()) {
	var profiling sync.WaitGroup
	if b.profiles == "" || b.node == nil {
		return profiling.Wait
	}
	for _, r := range append([]*deployment.Replica{b.node.api}, b.node.workers...) {
		profiling.Go(func() {
			path := filepath.Join(b.profiles, strings.ReplaceAll(figure, " ", "-")+"."+r.Name+".prof")
			if err := writeProfile(r, path); err != nil {
				b.Log("profile:", err)
			}
		})
	}
	return profiling.Wait
}

func writeProfile(r *deployment.Replica, path string) error {
	resp, err := http.Get(fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", r.Private, profileSeconds))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	profile, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return os.WriteFile(path, profile, 0o666)
}
