package main

import (
	"bytes"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/test/bench/report"
	"github.com/driveshare/downstream-node/test/deployment"
)

// options are what the flags say.
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
	encoded  int      // files so far: each has content of its own
	servers  []string // what they are, for the table's head
	load     string   // of the machine, before

	updates []report.Figure // what MariaDB can do
	node    *running        // started by the first part that needs it
}

// running is the node, running.
type running struct {
	*deployment.Node
	db      *sql.DB
	ids     ids
	api     *deployment.Replica
	workers []*deployment.Replica
	merkle  *field // made by the first part that needs it
}

func newBench(p *program, opt options) *bench {
	return &bench{program: p, options: opt, progress: report.NewProgress(), load: report.Load()}
}

// repetitions is how often a figure is measured, after once that is not
// counted.
func (b *bench) repetitions() int {
	if b.quick {
		return 3
	}
	return 5
}

// scaled is a size of the load, or a tenth of it.
func (b *bench) scaled(n int) int {
	if b.quick {
		return max(n/10, 1)
	}
	return n
}

// repeat measures once to warm up, and then as often as the run asks for.
func (b *bench) repeat(name string, measure func() float64) []float64 {
	var samples []float64
	for i := range b.repetitions() + 1 {
		if i == 1 {
			defer b.profile(name)()
		}
		b.progress.Step("%s, %d of %d", name, i, b.repetitions())
		b.goOn()
		if sample := measure(); i > 0 {
			samples = append(samples, sample)
		}
	}
	return samples
}

// goOn ends the run where it was interrupted.
func (b *bench) goOn() {
	if err := b.ctx.Err(); err != nil {
		b.Fatal("interrupted")
	}
}

// start gives the node that most parts share, and starts it where that is not
// done yet.
func (b *bench) start() *running {
	if b.node == nil {
		b.progress.Step("building and starting the node")
		b.node = b.deploy()
		b.node.api = b.node.API(b, nil)
		b.node.employ(b, b.workers)
	}
	return b.node
}

// employ ends the workers and starts so many others.
func (n *running) employ(b *bench, workers int) {
	for _, w := range n.workers {
		w.Terminate(b)
	}
	n.workers = nil
	for range workers {
		n.workers = append(n.workers, n.Worker(b, nil))
	}
}

// deploy starts a node's servers.
func (b *bench) deploy() *running {
	if b.binary == "" {
		binary, err := deployment.Build(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		b.binary = binary
	}
	n := &running{Node: deployment.Start(b, b.binary, testenv.Durable, deployment.Settings{
		"contracts.interval":        interval.String(),
		"contracts.tokensPerIP":     "1000000",
		"contracts.bytesPerAddress": "1TiB",
		"worker.duties.stock":       "false",
		"api.pprof":                 "true",
		"worker.pprof":              "true",
	})}
	// What every manual recommends for a server of its own: the tables in
	// memory, and a log that need not be emptied every other second.
	n.MariaDB.SetGlobal(b, "innodb_buffer_pool_size", fmt.Sprint(bufferPool))
	n.MariaDB.SetGlobal(b, "innodb_log_file_size", fmt.Sprint(logFile))
	n.db = n.Database(b)
	n.db.SetMaxIdleConns(16)
	if b.servers == nil {
		b.servers = n.servers(b)
	}
	return n
}

// MariaDB's memory and log, in bytes.
const (
	bufferPool = 2 << 30
	logFile    = 1 << 30
)

// publish prints the table, and writes it to the document where one is named.
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

// servers are the versions and settings of MariaDB and Redis.
func (n *running) servers(b *bench) []string {
	var version, flush string
	row := n.db.QueryRowContext(b.ctx, "SELECT VERSION(), @@innodb_flush_log_at_trx_commit")
	if err := row.Scan(&version, &flush); err != nil {
		b.Fatal(err)
	}
	server, err := n.OpenRedis(b).Info(b.ctx, "server").Result()
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(server, "redis_version:")
	redisVersion, _, _ := strings.Cut(rest, "\r\n")
	return []string{
		fmt.Sprintf("MariaDB %s, innodb_flush_log_at_trx_commit=%s, buffer pool %d MiB, log %d MiB",
			version, flush, bufferPool>>20, logFile>>20),
		fmt.Sprintf("Redis %s; 1 API replica, workers: %d", redisVersion, b.workers),
	}
}

// profileSeconds is about what two repetitions take.
const profileSeconds = 8

// profile begins to profile the node's processes where a directory for that is
// given, and gives what waits until the profiles are written.
func (b *bench) profile(figure string) (wait func()) {
	if b.profiles == "" || b.node == nil {
		return func() {}
	}
	var profiling sync.WaitGroup
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
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, resp.Body); err != nil {
		return err
	}
	return out.Close()
}
