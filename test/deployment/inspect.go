package deployment

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Metric reads one of the process's metrics, named with its labels as in the
// text that Prometheus reads; 0 where it is not there.
func (r *Replica) Metric(t testing.TB, name string) float64 {
	t.Helper()
	resp, err := probe.Get(r.Private + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			value, err := strconv.ParseFloat(text, 64)
			if err != nil {
				t.Fatalf("metric %s: %v", name, err)
			}
			return value
		}
	}
	return 0
}

// PeakMemory is the most memory, in bytes, that the process had resident.
func (p *Process) PeakMemory(t testing.TB) int64 {
	t.Helper()
	kib, err := strconv.ParseInt(strings.TrimSuffix(p.status(t, "VmHWM"), " kB"), 10, 64)
	if err != nil {
		t.Fatalf("peak memory of %s: %v", p.Name, err)
	}
	return kib << 10
}

// Paused says whether the process is stopped by a signal.
func (p *Process) Paused(t testing.TB) bool {
	t.Helper()
	return strings.HasPrefix(p.status(t, "State"), "T")
}

// status is a line of what Linux tells of a process.
func (p *Process) status(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("the status of %s has no %s", p.Name, name)
	return ""
}

// The keys of the node in Redis, as the documentation of package queue has
// them.
const (
	Jobs        = "{downstream}:jobs"
	DeadLetters = "{downstream}:dead"
	Counters    = "{downstream}:counters"
)

// OpenRedis opens the node's database in Redis.
func (n *Node) OpenRedis(t testing.TB) *redis.Client {
	t.Helper()
	opt, err := redis.ParseURL(n.redisURL)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(opt)
	t.Cleanup(func() { client.Close() })
	return client
}
