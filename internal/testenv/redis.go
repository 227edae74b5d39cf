package testenv

import (
	"bufio"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Redis is a server of one test.
type Redis struct {
	process
	port int
	n    atomic.Int64 // databases given out
}

// redisDatabases is how many tests can have one each.
const redisDatabases = 4096

// NewRedis gives the test an empty Redis database and returns its URL.
func NewRedis(t testing.TB) (redisURL string) {
	t.Helper()
	if redisURL := os.Getenv("TEST_REDIS_URL"); redisURL != "" {
		return emptyRedis(t, redisURL)
	}
	return sharedRedis.get(t).NewURL(t)
}

// StartRedis starts a server for the test alone.
func StartRedis(t testing.TB, mode Mode) *Redis {
	t.Helper()
	r, err := launchRedis(mode)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func launchRedis(mode Mode) (*Redis, error) {
	path, err := find("redis-server", "redis-server")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := newDir()
	if err != nil {
		return nil, err
	}
	r := &Redis{port: port}
	r.process = process{name: "Redis", path: path, dir: dir, ready: func() error { return r.command(0, "PING") }}
	r.args = []string{
		"--bind", "127.0.0.1",
		"--port", strconv.Itoa(port),
		"--dir", dir,
		"--save", "",
		"--databases", strconv.Itoa(redisDatabases),
		"--maxmemory-policy", "noeviction",
	}
	if mode == Durable {
		r.args = append(r.args, "--appendonly", "yes", "--appendfsync", "always")
	}
	if err := r.start(); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return r, nil
}

// NewURL gives an empty database of the server.
func (r *Redis) NewURL(t testing.TB) string {
	t.Helper()
	n := r.n.Add(1) - 1
	if n >= redisDatabases {
		t.Fatalf("more than %d tests want a Redis database", redisDatabases)
	}
	return fmt.Sprintf("redis://127.0.0.1:%d/%d", r.port, n)
}

// Stop shuts the server down in order.
func (r *Redis) Stop(t testing.TB) { t.Helper(); r.must(t, r.end(syscall.SIGTERM)) }

// Kill ends the server on the spot. What a Fast one held is gone.
func (r *Redis) Kill(t testing.TB) { t.Helper(); r.must(t, r.end(syscall.SIGKILL)) }

// Start starts the server again, and returns when it answers.
func (r *Redis) Start(t testing.TB) { t.Helper(); r.must(t, r.start()) }

// Pause stops the server from running: connections stay, nothing answers.
func (r *Redis) Pause() { r.signal(syscall.SIGSTOP) }

// Resume ends a pause.
func (r *Redis) Resume() { r.signal(syscall.SIGCONT) }

// Flush empties all databases of the server.
func (r *Redis) Flush(t testing.TB) { t.Helper(); r.must(t, r.command(0, "FLUSHALL")) }

func (r *Redis) close() error {
	defer os.RemoveAll(r.dir)
	return r.end(syscall.SIGKILL)
}

func (r *Redis) must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (r *Redis) command(database int, command string) error {
	return redisCommand(fmt.Sprintf("127.0.0.1:%d", r.port), database, command)
}

// redisCommand runs a command that answers with a simple string, in the inline
// form of the protocol.
func redisCommand(address string, database int, command string) error {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "SELECT %d\r\n%s\r\n", database, command); err != nil {
		return err
	}
	answers := bufio.NewScanner(conn)
	for range 2 {
		if !answers.Scan() {
			return fmt.Errorf("redis %s: no answer: %v", command, answers.Err())
		}
		if !strings.HasPrefix(answers.Text(), "+") {
			return fmt.Errorf("redis %s: %s", command, answers.Text())
		}
	}
	return nil
}

// emptyRedis empties the database that the URL names. Test processes that
// share it run one after the other, with `go test -p 1`.
func emptyRedis(t testing.TB, redisURL string) string {
	t.Helper()
	u, err := url.Parse(redisURL)
	if err != nil {
		t.Fatalf("TEST_REDIS_URL: %v", err)
	}
	database := 0
	if path := strings.Trim(u.Path, "/"); path != "" {
		if database, err = strconv.Atoi(path); err != nil {
			t.Fatalf("TEST_REDIS_URL: database %q is not a number", path)
		}
	}
	if err := redisCommand(u.Host, database, "FLUSHDB"); err != nil {
		t.Fatalf("TEST_REDIS_URL: %v", err)
	}
	return redisURL
}
