package deployment

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/testenv"
)

// Node is a node's servers and what its processes have in common.
type Node struct {
	MariaDB *testenv.MariaDB
	Redis   *testenv.Redis
	// MerkleKey and SwizzleKey are the files with the node's two keys. Its
	// processes hold both; the first that an API replica names is the one that
	// it gives to new tokens.
	MerkleKey, SwizzleKey string

	binary        string
	dir           string
	dsn, redisURL string
	settings      Settings
	launched      int
}

// Start starts the servers and makes keys and tables. MariaDB is as durable as
// mode says; Redis forgets everything when it is killed, which is the worst
// that it can do. settings are those of all processes.
func Start(t testing.TB, binary string, mode testenv.Mode, settings Settings) *Node {
	t.Helper()
	n := &Node{
		MariaDB: testenv.StartMariaDB(t, mode),
		Redis:   testenv.StartRedis(t, testenv.Fast),
		binary:  binary,
		dir:     t.TempDir(),
	}
	n.dsn, n.redisURL = n.MariaDB.NewDatabase(t), n.Redis.NewURL(t)
	n.settings = Settings{
		"database.driver":   "mysql",
		"database.dsn":      n.dsn,
		"redis.url":         n.redisURL,
		"access.whitelist":  "false",
		"access.signatures": "false",
		"log.format":        "text",
	}.and(settings)
	n.MerkleKey = n.newKey(t, heartbeat.Merkle)
	n.SwizzleKey = n.newKey(t, heartbeat.Swizzle)
	n.settings["heartbeat.keyFiles"] = n.MerkleKey + "," + n.SwizzleKey
	n.Run(t, nil, "db", "migrate")
	return n
}

// SwizzleFirst are the settings of a process whose current key is the Swizzle
// one; that of all others is the Merkle one.
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

// Run runs a command of the program to its end and gives what it printed.
func (n *Node) Run(t testing.TB, own Settings, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), n.binary, args...)
	cmd.Env = n.settings.and(own).environ(t)
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
	*Process
	// URL is where farmers are answered; empty for a worker.
	URL string
	// Private is the URL of the private port.
	Private string
}

// API starts an API replica and waits until it is ready.
func (n *Node) API(t testing.TB, own Settings) *Replica {
	t.Helper()
	r := n.LaunchAPI(t, own)
	r.awaitReady(t)
	return r
}

// LaunchAPI starts an API replica and does not wait.
func (n *Node) LaunchAPI(t testing.TB, own Settings) *Replica {
	t.Helper()
	public, private := freeAddress(t), freeAddress(t)
	r := &Replica{URL: "http://" + public, Private: "http://" + private}
	r.Process = n.launch(t, "api", own.and(Settings{"api.listen": public, "api.privateListen": private}), nil)
	return r
}

// Worker starts a worker and waits until it is ready. environ is added to its
// environment.
func (n *Node) Worker(t testing.TB, own Settings, environ ...string) *Replica {
	t.Helper()
	private := freeAddress(t)
	r := &Replica{Private: "http://" + private}
	r.Process = n.launch(t, "worker", own.and(Settings{"worker.privateListen": private}), environ)
	r.awaitReady(t)
	return r
}

func (n *Node) launch(t testing.TB, role string, own Settings, environ []string) *Process {
	t.Helper()
	n.launched++
	name := fmt.Sprintf("%s-%d", role, n.launched)
	cmd := exec.Command(n.binary, role)
	cmd.Env = append(n.settings.and(own).environ(t), environ...)
	return launch(t, name, filepath.Join(n.dir, name+".log"), cmd)
}

// readyPatience is how long a process may take to be ready.
const readyPatience = 60 * time.Second

func (r *Replica) awaitReady(t testing.TB) {
	t.Helper()
	deadline := time.Now().Add(readyPatience)
	for !r.Ready() {
		if !r.Running() {
			return // a worker that is to die at once may do so before
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not ready after %v", r.Name, readyPatience)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// probe asks without keeping a connection: a probe that waits in a pool would
// be a goroutine left behind.
var probe = &http.Client{
	Transport: &http.Transport{DisableKeepAlives: true},
	Timeout:   2 * time.Second,
}

// Ready says whether the process reports itself ready.
func (r *Replica) Ready() bool {
	resp, err := probe.Get(r.Private + "/readyz")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// freeAddress is one that nobody listens on. That it stays so until the
// process has it is likely, not certain.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
