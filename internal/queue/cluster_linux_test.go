package queue

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// cluster is the address of a Redis Cluster of one node, which refuses what a
// large one would: commands and scripts whose keys are not of one slot. It is
// one for all tests, for it takes two seconds until it accepts writes.
var cluster = sync.OnceValues(func() (addr string, err error) {
	port, err := freePort()
	if err != nil {
		return "", err
	}
	bus, err := freePort()
	if err != nil {
		return "", err
	}
	config := filepath.Join(os.TempDir(), "downstream-node-test-cluster-"+port)
	defer os.Remove(config) // of no use to a server that runs
	started := make(chan error)
	go runCluster(started, "--port", port, "--cluster-port", bus, "--cluster-config-file", config)
	if err := <-started; err != nil {
		return "", err
	}
	addr = net.JoinHostPort("127.0.0.1", port)
	return addr, formCluster(addr)
})

func init() { kinds = append(kinds, kind{"cluster", startCluster}) }

func startCluster(t testing.TB) *server {
	t.Helper()
	addr, err := cluster()
	if err != nil {
		t.Fatal(err)
	}
	return &server{options: Options{Addrs: []string{addr}, Cluster: true}}
}

// runCluster runs the server until this process ends, and with it the thread
// that the signal hangs on.
func runCluster(started chan<- error, args ...string) {
	runtime.LockOSThread()
	cmd := exec.Command("redis-server", append(args,
		"--bind", "127.0.0.1", "--save", "", "--cluster-enabled", "yes")...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started <- cmd.Start()
	_ = cmd.Wait() // how it ends says nothing
}

// formCluster gives the one node all slots and waits until it takes writes.
func formCluster(addr string) error {
	client := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: 100})
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := client.ClusterAddSlotsRange(ctx, 0, 16383).Err(); err != nil {
		return err
	}
	for {
		info, err := client.ClusterInfo(ctx).Result()
		if err != nil || strings.Contains(info, "cluster_state:ok") {
			return err
		}
		time.Sleep(20 * time.Millisecond) // nothing tells when it is ready
	}
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), nil
}
