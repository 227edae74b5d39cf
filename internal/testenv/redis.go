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
	"testing"
	"time"
)

// Redis is a Redis server.
type Redis struct {
	process
	n atomic.Int64 // databases that tests have
}

// redisDatabases is the number of databases of a server, one for each test.
const redisDatabases = 4096

// NewRedis returns the URL of an empty Redis database for the test.
func NewRedis(t testing.TB) (redisURL string) {
	t.Helper()
	if redisURL := os.Getenv("TEST_REDIS_URL"); redisURL != "" {
		return emptyRedis(t, redisURL)
	}
	return sharedRedis.get(t).NewURL(t)
}

// StartRedis starts a server for one test.
func StartRedis(t testing.TB, mode Mode) *Redis {
	t.Helper()
	r, err := launchRedis(mode)
	return closeWith(t, r, err)
}

func launchRedis(mode Mode) (*Redis, error) {
	p, err := newProcess("Redis", "redis-server", "redis-server")
	if err != nil {
		return nil, err
	}
	r := &Redis{process: p}
	r.ready = func() error { return r.command(0, "PING") }
	r.args = []string{
		"--bind", "127.0.0.1",
		"--port", strconv.Itoa(r.port),
		"--dir", r.dir,
		"--save", "",
		"--databases", strconv.Itoa(redisDatabases),
		"--maxmemory-policy", "noeviction",
	}
	if mode == Durable {
		r.args = append(r.args, "--appendonly", "yes", "--appendfsync", "always")
	}
	if err := r.start(); err != nil {
		os.RemoveAll(r.dir)
		return nil, err
	}
	return r, nil
}

// NewURL returns the URL of an empty database of the server.
func (r *Redis) NewURL(t testing.TB) string {
	t.Helper()
	n := r.n.Add(1) - 1
	if n >= redisDatabases {
		t.Fatalf("more than %d tests need a Redis database", redisDatabases)
	}
	return fmt.Sprintf("redis://127.0.0.1:%d/%d", r.port, n)
}

// Flush empties all databases of the server.
func (r *Redis) Flush(t testing.TB) { t.Helper(); Must(t, r.command(0, "FLUSHALL")) }

func (r *Redis) command(database int, command string) error {
	return redisCommand(fmt.Sprintf("127.0.0.1:%d", r.port), database, command)
}

// redisCommand sends a command as an inline command. The reply must be a simple
// string.
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
	replies := bufio.NewScanner(conn)
	for range 2 {
		if !replies.Scan() {
			return fmt.Errorf("redis %s: no reply: %v", command, replies.Err())
		}
		if !strings.HasPrefix(replies.Text(), "+") {
			return fmt.Errorf("redis %s: %s", command, replies.Text())
		}
	}
	return nil
}

// emptyRedis empties the database at the URL. Test processes that share it must
// run one after the other: `go test -p 1`.
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
