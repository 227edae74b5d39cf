// Package deployment runs a node for tests as it is deployed. API replicas and
// workers are processes of the real program. They use a MariaDB and a Redis that
// the test starts (package testenv). The package also reads the node's records from
// the database, so that tests can compare these records with the responses that
// farmers received.
//
// The package signals only processes that it started, by their ids. Every process
// ends when the test ends. On Linux, it also ends if the test itself is killed.
package deployment

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/testenv"
)

const program = "github.com/driveshare/downstream-node/cmd/downstream-node"

// Build builds the node's program into dir and returns its path.
func Build(dir string, tags ...string) (binary string, err error) {
	binary = filepath.Join(dir, "downstream-node")
	build := exec.Command("go", "build", "-tags", strings.Join(tags, ","), "-o", binary, program)
	_, here, _, _ := runtime.Caller(0)
	build.Dir = filepath.Dir(here) // the caller may be a test in another module
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the node: %w\n%s", err, out)
	}
	return binary, nil
}

// Main does what testenv.Main does, for tests that need the program. It builds the
// program, stores its path in *binary, and removes the program after the tests.
func Main(m *testing.M, binary *string, tags ...string) {
	dir, err := os.MkdirTemp("", "downstream-node-build-*")
	if err == nil {
		*binary, err = Build(dir, tags...)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.RemoveAll(dir)
		os.Exit(1)
	}
	testenv.Main(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// Settings maps configuration keys, such as "contracts.interval", to values. A
// value is written as in an environment variable.
type Settings map[string]string

// and returns the settings together with others. If both have a key, the value in
// others is used.
func (s Settings) and(others Settings) Settings {
	both := make(Settings, len(s)+len(others))
	maps.Copy(both, s)
	maps.Copy(both, others)
	return both
}

// environ returns the environment of a process with exactly these settings.
func (s Settings) environ(t testing.TB) []string {
	t.Helper()
	var environ []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "DOWNSTREAM_") {
			environ = append(environ, entry)
		}
	}
	cfg := app.Default()
	known := 0
	for _, f := range config.Fields(&cfg) {
		if value, ok := s[f.Key]; ok {
			environ = append(environ, f.Env+"="+value)
			known++
		}
	}
	if known != len(s) {
		t.Fatalf("only %d of the settings %v are configuration keys", known, s)
	}
	return environ
}

// Node holds the servers of a node, and the settings that its processes share.
type Node struct {
	// Both are nil after StartOn.
	MariaDB *testenv.MariaDB
	Redis   *testenv.Redis
	// MerkleKey and SwizzleKey are the files of the node's two heartbeat keys.
	// Every process holds both keys. An API replica uses the first key in its
	// configuration for new tokens.
	MerkleKey, SwizzleKey string

	binary        string
	dir           string
	dsn, redisURL string
	settings      Settings
	launched      int
}

// Start starts the servers and makes keys and tables. mode sets MariaDB's
// durability, and options are added to its command line. Redis loses all data if it
// is killed, which is the worst case. All processes get settings.
func Start(t testing.TB, binary string, mode testenv.Mode, settings Settings, options ...string) *Node {
	t.Helper()
	database, redis := testenv.StartMariaDB(t, mode, options...), testenv.StartRedis(t, testenv.Fast)
	redisURL := redis.NewURL(t)
	n := StartOn(t, binary, database.NewDatabase(t), Settings{"redis.url": redisURL}.and(settings))
	n.MariaDB, n.Redis, n.redisURL = database, redis, redisURL
	return n
}

// StartOn is like Start, but the test has started the servers. dsn names the database, and
// settings name the Redis.
func StartOn(t testing.TB, binary, dsn string, settings Settings) *Node {
	t.Helper()
	n := &Node{binary: binary, dir: t.TempDir(), dsn: dsn}
	n.settings = Settings{
		"database.driver":   "mysql",
		"database.dsn":      dsn,
		"access.whitelist":  "false",
		"access.signatures": "false",
		"log.format":        "text",
		// Tests take more contracts at once than a farmer without proofs gets.
		"contracts.unprovenPerToken":      "0",
		"contracts.unprovenBytesPerToken": "0",
		"contracts.inventoryShare":        "0",
		// All farmers of a test have the same IP address.
		"api.connectionsPerIP":         "0",
		"api.requestsPerIP":            "0",
		"api.rateLimits.perIP.rate":    "0",
		"api.rateLimits.perToken.rate": "0",
	}.and(settings)
	n.MerkleKey = n.newKey(t, heartbeat.Merkle)
	n.SwizzleKey = n.newKey(t, heartbeat.Swizzle)
	n.settings["heartbeat.keyFiles"] = n.MerkleKey + "," + n.SwizzleKey
	n.Run(t, nil, "db", "migrate")
	return n
}

// Upgrade migrates the database to another version of the program. Processes that start or
// restart from now on run this version.
func (n *Node) Upgrade(t testing.TB, binary string) {
	t.Helper()
	n.binary = binary
	n.Run(t, nil, "db", "migrate")
}

// Dump returns a backup of the node's database.
func (n *Node) Dump(t testing.TB) []byte { t.Helper(); return n.MariaDB.Dump(t, n.dsn) }

// Restore restores a backup of the node's database.
func (n *Node) Restore(t testing.TB, dump []byte) { t.Helper(); n.MariaDB.Restore(t, n.dsn, dump) }

// SwizzleFirst returns the settings of a process whose current key is the
// Swizzle key. Other processes use the Merkle key.
func (n *Node) SwizzleFirst() Settings {
	return Settings{"heartbeat.keyFiles": n.SwizzleKey + "," + n.MerkleKey}
}

func (n *Node) newKey(t testing.TB, scheme heartbeat.Type) string {
	t.Helper()
	path := filepath.Join(n.dir, string(scheme)+".json")
	key := n.Run(t, nil, "heartbeat", "new", "--type", string(scheme))
	if err := os.WriteFile(path, key, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Run runs a command of the program and returns its standard output.
func (n *Node) Run(t testing.TB, own Settings, args ...string) []byte {
	t.Helper()
	return run(t, n.binary, n.settings.and(own), args...)
}

func run(t testing.TB, binary string, settings Settings, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = settings.environ(t)
	out, err := cmd.Output()
	if err != nil {
		stderr := ""
		if exit, ok := err.(*exec.ExitError); ok {
			stderr = string(exit.Stderr)
		}
		t.Fatalf("downstream-node %v: %v\n%s", args, err, stderr)
	}
	return out
}

// Replica is an API replica or a worker.
type Replica struct {
	*testenv.Process
	// URL is the URL for farmers. It is empty for a worker.
	URL string
	// Private is the URL of the private port.
	Private string

	// Dir is the directory of a standalone node, and Run runs a command on it.
	Dir string
	Run func(t testing.TB, args ...string) []byte

	launch func(t testing.TB) *testenv.Process
}

// Restart starts the process again, which must have ended. It has the same ports and
// settings.
func (r *Replica) Restart(t testing.TB) { t.Helper(); r.Process = r.launch(t) }

// API starts an API replica and waits until the replica is ready.
func (n *Node) API(t testing.TB, own Settings) *Replica {
	t.Helper()
	r := n.LaunchAPI(t, own)
	r.awaitReady(t)
	return r
}

// LaunchAPI starts an API replica. It does not wait until the replica is ready.
// environ is added to the replica's environment.
func (n *Node) LaunchAPI(t testing.TB, own Settings, environ ...string) *Replica {
	t.Helper()
	public, private := testenv.FreeAddress(t), testenv.FreeAddress(t)
	return n.launch(t, &Replica{URL: "http://" + public, Private: "http://" + private}, "api",
		own.and(Settings{"api.listen": public, "api.privateListen": private}), environ)
}

// Worker starts a worker and waits until the worker is ready. environ is added to
// the worker's environment.
func (n *Node) Worker(t testing.TB, own Settings, environ ...string) *Replica {
	t.Helper()
	r := n.LaunchWorker(t, own, environ...)
	r.awaitReady(t)
	return r
}

// LaunchWorker starts a worker. It does not wait until the worker is ready.
func (n *Node) LaunchWorker(t testing.TB, own Settings, environ ...string) *Replica {
	t.Helper()
	private := testenv.FreeAddress(t)
	return n.launch(t, &Replica{Private: "http://" + private}, "worker", own.and(Settings{"worker.privateListen": private}), environ)
}

func (n *Node) launch(t testing.TB, r *Replica, role string, own Settings, environ []string) *Replica {
	t.Helper()
	r.launch = func(t testing.TB) *testenv.Process {
		t.Helper()
		n.launched++
		name := fmt.Sprintf("%s-%d", role, n.launched)
		cmd := exec.Command(n.binary, role)
		cmd.Env = append(n.settings.and(own).environ(t), environ...)
		return start(t, name, n.dir, cmd)
	}
	r.Restart(t)
	return r
}

// start starts a process whose log is in dir. The process ends with the test.
func start(t testing.TB, name, dir string, cmd *exec.Cmd) *testenv.Process {
	t.Helper()
	p, err := testenv.StartProcess(name, filepath.Join(dir, name+".log"), cmd)
	testenv.Must(t, err)
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("end of %s's log:\n%s", name, p.LogTail())
		}
	})
	return p
}

// readyTimeout is how long a process may take to become ready.
const readyTimeout = 60 * time.Second

func (r *Replica) awaitReady(t testing.TB) {
	t.Helper()
	deadline := time.Now().Add(readyTimeout)
	for !r.Ready() {
		if !r.Running() {
			return // a worker that a test kills early may end before it is ready
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not ready after %v", r.Name, readyTimeout)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// probe keeps no idle connections, because each connection would leave a goroutine
// behind.
var probe = &http.Client{
	Transport: &http.Transport{DisableKeepAlives: true},
	Timeout:   2 * time.Second,
}

// Ready reports whether the process's readiness check succeeds.
func (r *Replica) Ready() bool {
	ready, _ := r.Readiness()
	return ready
}

// Readiness reports whether the process's readiness check succeeds, and its text.
func (r *Replica) Readiness() (ready bool, text string) {
	resp, err := probe.Get(r.Private + "/readyz")
	if err != nil {
		return false, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return false, err.Error()
	}
	return resp.StatusCode == http.StatusOK, string(body)
}
