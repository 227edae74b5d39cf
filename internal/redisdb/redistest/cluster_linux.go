package redistest

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

func init() { Kinds = append(Kinds, Kind{"cluster", Cluster}) }

// Cluster returns a Redis Cluster of one node. Like a larger one it refuses
// commands and scripts whose keys are in different slots. All tests share it,
// because it takes two seconds until it accepts writes.
func Cluster(t testing.TB) *Server {
	t.Helper()
	addr, err := cluster()
	if err != nil {
		t.Fatal(err)
	}
	return &Server{Addr: addr, Cluster: true}
}

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
	defer os.Remove(config) // a running server does not read it again
	started := make(chan error)
	go runCluster(started, "--port", port, "--cluster-port", bus, "--cluster-config-file", config)
	if err := <-started; err != nil {
		return "", err
	}
	addr = net.JoinHostPort("127.0.0.1", port)
	return addr, formCluster(addr)
})

// runCluster runs the server until this process ends. It locks its thread,
// because the kernel sends Pdeathsig when the thread ends.
func runCluster(started chan<- error, args ...string) {
	runtime.LockOSThread()
	cmd := exec.Command("redis-server", append(args,
		"--bind", "127.0.0.1", "--save", "", "--cluster-enabled", "yes")...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started <- cmd.Start()
	_ = cmd.Wait() // it is killed
}

// formCluster assigns all slots to the node and waits until it accepts writes.
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
		time.Sleep(20 * time.Millisecond) // no event announces readiness
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
