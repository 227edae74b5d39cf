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
	n   atomic.Int64 // number of databases that tests have received
	bus int          // the port of a Cluster's node for the other nodes
}

// redisDatabases is the number of databases of a server. Each test gets its own
// database.
const redisDatabases = 4096

var (
	sharedRedis    = shared(func() (*Redis, error) { return launchRedis(Fast) })
	sharedSentinel = shared(launchSharedSentinel)
	sharedCluster  = shared(launchCluster)
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

// Sentinel returns the host and port of a Sentinel that watches one server under the name
// SentinelMaster. All tests of the process share the server and its keys.
func Sentinel(t testing.TB) (address string) {
	t.Helper()
	return sharedSentinel(t).address()
}

// SentinelMaster is the name of the master that the Sentinel of [Sentinel] watches.
const SentinelMaster = "mymaster"

// sentinel is a Sentinel with the server that it watches.
type sentinel struct {
	*Redis
	master *Redis
}

func launchSharedSentinel() (sentinel, error) {
	master, err := launchRedis(Fast)
	if err != nil {
		return sentinel{}, err
	}
	r, err := launchSentinel(SentinelMaster, master, 1)
	if err != nil {
		master.close()
	}
	return sentinel{r, master}, err
}

func (s sentinel) close() {
	s.Redis.close()
	s.master.close()
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

// StartSentinels starts Sentinels that watch the server and its replicas under the name
// of a master. It returns their hosts and ports.
func StartSentinels(t testing.TB, master string, watched *Redis, number int) (addresses []string) {
	t.Helper()
	for range number {
		r, err := launchSentinel(master, watched, number/2+1)
		addresses = append(addresses, closeAfter(t, r, err).address())
	}
	return addresses
}

func launchSentinel(master string, watched *Redis, quorum int) (*Redis, error) {
	s, err := newServer(Fast, "Sentinel", "redis-server", "redis-server")
	if err != nil {
		return nil, err
	}
	r := &Redis{server: s}
	settings := fmt.Sprintf("bind 127.0.0.1\nport %d\nsentinel monitor %s 127.0.0.1 %d %d\n"+
		"sentinel down-after-milliseconds %[2]s 1000\nsentinel failover-timeout %[2]s 3000\n", r.port, master, watched.port, quorum)
	file := filepath.Join(r.dir, "sentinel.conf") // the Sentinel writes to it
	r.args = []string{file, "--sentinel"}
	r.ready = func() error { return r.command("PING") }
	if err = os.WriteFile(file, []byte(settings), 0o600); err == nil {
		err = r.start()
	}
	if err != nil {
		os.RemoveAll(r.dir)
		return nil, err
	}
	return r, nil
}

// SentinelFailover makes a Sentinel replace a master by its replica.
func SentinelFailover(t testing.TB, sentinel, master string) {
	t.Helper()
	WaitFor(t, "the Sentinel begins a failover", func() bool { // it waits for some seconds after the last one
		return redisCommand("redis://"+sentinel, "SENTINEL", "FAILOVER", master) == nil
	})
}

// Follow makes the server a replica, and waits until it has all data of its master.
func (r *Redis) Follow(t testing.TB, master *Redis) {
	t.Helper()
	Must(t, r.command("REPLICAOF", "127.0.0.1", master.port))
	WaitFor(t, "the replica has all data", r.IsReplica)
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

// Addr returns the server's host and port.
func (r *Redis) Addr() string { return r.address() }

// Do runs a command on the server.
func (r *Redis) Do(t testing.TB, command ...any) { t.Helper(); Must(t, r.command(command...)) }

func (r *Redis) address() string { return fmt.Sprintf("127.0.0.1:%d", r.port) }

func (r *Redis) command(command ...any) error { return r.run(command...).Err() }

// text runs a command whose reply is text.
func (r *Redis) text(command ...any) (string, error) { return r.run(command...).Text() }

// list runs a command whose reply is a list of texts.
func (r *Redis) list(command ...any) ([]string, error) { return r.run(command...).StringSlice() }

func (r *Redis) run(command ...any) *redis.Cmd { return runRedis("redis://"+r.address(), command...) }

// redisCommand runs a command in the database at the URL.
func redisCommand(redisURL string, command ...any) error { return runRedis(redisURL, command...).Err() }

func runRedis(redisURL string, command ...any) *redis.Cmd {
	opt, err := redis.ParseURL(redisURL)
	if err != nil {
		cmd := redis.NewCmd(context.Background(), command...)
		cmd.SetErr(err)
		return cmd
	}
	opt.Protocol, opt.MaxRetries, opt.DialerRetries = 2, -1, 1
	client := redis.NewClient(opt)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return client.Do(ctx, command...)
}
