package testenv

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Redis is a Redis server.
type Redis struct {
	server
	n atomic.Int64 // number of databases that tests have received
}

// redisDatabases is the number of databases of a server. Each test gets its own
// database.
const redisDatabases = 4096

var (
	sharedRedis   = shared(func() (*Redis, error) { return launchRedis(Fast) })
	sharedCluster = shared(launchCluster)
)

// NewRedis returns the URL of an empty Redis database for the test.
func NewRedis(t testing.TB) (redisURL string) {
	t.Helper()
	redisURL = os.Getenv("TEST_REDIS_URL")
	if redisURL == "" {
		return sharedRedis(t).NewURL(t)
	}
	// Test processes that share the server must run one after the other: `go test
	// -p 1`.
	if err := redisCommand(redisURL, "FLUSHDB"); err != nil {
		t.Fatalf("TEST_REDIS_URL: %v", err)
	}
	return redisURL
}

// RedisCluster returns the host and port of a Redis Cluster that has one node. Like
// a larger Cluster, it refuses commands and scripts whose keys are in different
// slots. All tests of the process share the Cluster and its keys, because it takes
// two seconds until the Cluster accepts writes.
func RedisCluster(t testing.TB) (address string) {
	t.Helper()
	return sharedCluster(t).address()
}

// StartRedis starts a server for one test.
func StartRedis(t testing.TB, mode Mode) *Redis {
	t.Helper()
	r, err := launchRedis(mode)
	return closeAfter(t, r, err)
}

func launchRedis(mode Mode, args ...string) (*Redis, error) {
	s, err := newServer(mode, "Redis", "redis-server", "redis-server")
	if err != nil {
		return nil, err
	}
	r := &Redis{server: s}
	r.ready = func() error { return r.command("PING") }
	r.args = append(args,
		"--bind", "127.0.0.1",
		"--port", strconv.Itoa(r.port),
		"--dir", r.dir,
		"--save", "",
		"--databases", strconv.Itoa(redisDatabases),
		"--maxmemory-policy", "noeviction",
	)
	if mode == Durable {
		r.args = append(r.args, "--appendonly", "yes", "--appendfsync", "always")
	}
	if err := r.start(); err != nil {
		os.RemoveAll(r.dir)
		return nil, err
	}
	return r, nil
}

func launchCluster() (*Redis, error) {
	bus, err := FreePort()
	if err != nil {
		return nil, err
	}
	r, err := launchRedis(Fast, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(bus))
	if err != nil {
		return nil, err
	}
	if err = r.command("CLUSTER", "ADDSLOTSRANGE", 0, 16383); err == nil {
		err = r.await(func() error { return r.command("SET", "ready", "yes") })
	}
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// StartSentinel starts a Sentinel that watches the server and its replicas under the name
// of a master. It returns the Sentinel's host and port.
func StartSentinel(t testing.TB, master string, watched *Redis) (address string) {
	t.Helper()
	s, err := newServer(Fast, "Sentinel", "redis-server", "redis-server")
	Must(t, err)
	r := &Redis{server: s}
	settings := fmt.Sprintf("bind 127.0.0.1\nport %d\nsentinel monitor %s 127.0.0.1 %d 1\n"+
		"sentinel down-after-milliseconds %[2]s 200\nsentinel failover-timeout %[2]s 2000\n", r.port, master, watched.port)
	file := filepath.Join(r.dir, "sentinel.conf") // the Sentinel writes to it
	Must(t, os.WriteFile(file, []byte(settings), 0o600))
	r.args = []string{file, "--sentinel"}
	r.ready = func() error { return r.command("PING") }
	closeAfter(t, r, r.start())
	return r.address()
}

// NewURL returns the URL of an empty database of the server.
func (r *Redis) NewURL(t testing.TB) string {
	t.Helper()
	n := r.n.Add(1) - 1
	if n >= redisDatabases {
		t.Fatalf("more than %d tests need a Redis database", redisDatabases)
	}
	return fmt.Sprintf("redis://%s/%d", r.address(), n)
}

// Flush deletes the data in all databases of the server.
func (r *Redis) Flush(t testing.TB) { t.Helper(); Must(t, r.command("FLUSHALL")) }

func (r *Redis) address() string { return fmt.Sprintf("127.0.0.1:%d", r.port) }

func (r *Redis) command(command ...any) error {
	return redisCommand("redis://"+r.address(), command...)
}

// redisCommand runs a command in the database at the URL.
func redisCommand(redisURL string, command ...any) error {
	opt, err := redis.ParseURL(redisURL)
	if err != nil {
		return err
	}
	opt.Protocol, opt.MaxRetries, opt.DialerRetries = 2, -1, 1
	client := redis.NewClient(opt)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return client.Do(ctx, command...).Err()
}
