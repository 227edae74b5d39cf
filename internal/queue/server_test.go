package queue

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if cluster.server != nil {
		cluster.server.kill()
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			code = 1
		}
	}
	os.Exit(code)
}

// server is a Redis that a test may do anything with.
type server struct {
	options Options
	down    func() // it ends, and loses everything
	up      func() // it is back, at the same address
}

// open opens the queue of a namespace of its own.
func (s *server) open(t testing.TB, change ...func(*Options)) *Queue {
	t.Helper()
	o := s.options
	o.Namespace = strings.ReplaceAll(t.Name(), "/", ".")
	for _, f := range change {
		f(&o)
	}
	q, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

// flush empties Redis, scripts included.
func flush(t testing.TB, q *Queue) {
	t.Helper()
	if err := q.client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if err := q.client.ScriptFlush(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}

// onEach runs the test on every kind of Redis that the package is for.
func onEach(t *testing.T, test func(*testing.T, *server)) {
	t.Parallel()
	for _, kind := range []struct {
		name  string
		start func(testing.TB) *server
	}{{"miniredis", startMiniredis}, {"redis", startRedis}, {"cluster", startCluster}} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			test(t, kind.start(t))
		})
	}
}

// onEachOwn is onEach for tests that flush or end the server.
func onEachOwn(t *testing.T, test func(*testing.T, *server)) {
	t.Parallel()
	t.Run("miniredis", func(t *testing.T) { t.Parallel(); test(t, startMiniredis(t)) })
	t.Run("redis", func(t *testing.T) { t.Parallel(); test(t, startRedis(t)) })
}

func startMiniredis(t testing.TB) *server {
	t.Helper()
	m := miniredis.NewMiniRedis()
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	addr := m.Addr()
	return &server{
		options: Options{Addrs: []string{addr}},
		down:    func() { m.Close() },
		up: func() {
			// A new one: after Restart it would not answer what blocks.
			m = miniredis.NewMiniRedis()
			if err := m.StartAddr(addr); err != nil {
				t.Error(err)
			}
		},
	}
}

func startRedis(t testing.TB) *server { return startRedisWith(t) }

func startRedisWith(t testing.TB, args ...string) *server {
	t.Helper()
	port := freePort(t)
	dir := t.TempDir()
	var p *process
	up := func() {
		var err error
		if p, err = startProcess(dir, port, args...); err != nil {
			t.Error(err)
		}
	}
	if needRedis(t); !t.Failed() {
		up()
	}
	if t.Failed() {
		t.FailNow()
	}
	t.Cleanup(func() { p.kill() })
	return &server{
		options: Options{URL: "redis://127.0.0.1:" + port + "/0"},
		down:    func() { p.kill() },
		up:      up,
	}
}

// cluster is one server for all tests: a node of a Cluster takes two seconds
// until it accepts writes.
var cluster struct {
	once   sync.Once
	server *process
	port   string
	err    error
}

func startCluster(t testing.TB) *server {
	t.Helper()
	needRedis(t)
	port, bus := freePort(t), freePort(t)
	cluster.once.Do(func() {
		cluster.port = port
		cluster.server, cluster.err = startProcess(os.TempDir(), port,
			"--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-config-file", "nodes-"+port+".conf")
		if cluster.err == nil {
			cluster.err = formCluster(port)
		}
		os.Remove(os.TempDir() + "/nodes-" + port + ".conf")
	})
	if cluster.err != nil {
		t.Fatal(cluster.err)
	}
	return &server{options: Options{Addrs: []string{"127.0.0.1:" + cluster.port}, Cluster: true}}
}

func formCluster(port string) error {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port})
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := client.ClusterAddSlotsRange(ctx, 0, 16383).Err(); err != nil {
		return err
	}
	for ctx.Err() == nil {
		if info, err := client.ClusterInfo(ctx).Result(); err != nil || strings.Contains(info, "cluster_state:ok") {
			return err
		}
		time.Sleep(20 * time.Millisecond) // it has no way to tell when it is ready
	}
	return ctx.Err()
}

func needRedis(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("CI needs redis-server")
		}
		t.Skip("redis-server is not installed")
	}
}

// process is a redis-server.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// startProcess returns when it accepts connections.
func startProcess(dir, port string, args ...string) (*process, error) {
	cmd := exec.Command("redis-server", append([]string{
		"--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no",
	}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	ready := make(chan struct{})
	go func() {
		defer close(p.ended)
		said := false
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if !said && strings.Contains(lines.Text(), "Ready to accept connections") {
				said = true
				close(ready)
			}
		}
		_ = cmd.Wait() // killed: its status says nothing
	}()
	select {
	case <-ready:
		return p, nil
	case <-p.ended:
		return nil, errors.New("redis-server ended as it began")
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.ended
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// eventually asks until the answer is yes.
func eventually(t testing.TB, what string, yes func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !yes(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}
