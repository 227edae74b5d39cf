//go:build faults

package faults

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/farmer"
	"github.com/driveshare/downstream-node/test/deployment"
)

// heartbeatKey is a key in the response of GET /status/keys.
type heartbeatKey struct {
	Fingerprint, State string
	Contracts          *int64
}

func keysOf(t *testing.T, url string) []heartbeatKey {
	t.Helper()
	var response struct{ Keys []heartbeatKey }
	publishedBy(t, url, "keys", &response)
	return response.Keys
}

// Farmers must not notice that a key is replaced, and then the node must work without the old
// key. Before that, a node without the key must say what it lacks, and no farmer may lose
// anything.
func TestKeyIsReplacedWhileFarming(t *testing.T) {
	for _, test := range []struct {
		name        string
		scheme      heartbeat.Type
		compromised bool
	}{{"Merkle", heartbeat.Merkle, false}, {"Swizzle", heartbeat.Swizzle, false}, {"compromised", heartbeat.Merkle, true}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			replaceKeyWhileFarming(t, test.scheme, test.compromised)
		})
	}
}

func replaceKeyWhileFarming(t *testing.T, scheme heartbeat.Type, compromised bool) {
	const farmers, contracts, interval = 3, 5, 10 * time.Second
	challenges := 6 // so that Merkle contracts end in the test
	if compromised {
		challenges = 1000 // so that they end only because the key is compromised
	}
	n := deployment.Standalone(t, binary, deployment.Settings{
		"heartbeat.type":                  string(scheme),
		"heartbeat.challenges":            fmt.Sprint(challenges),
		"contracts.interval":              interval.String(),
		"contracts.unprovenPerToken":      "0",
		"contracts.unprovenBytesPerToken": "0",
		"contracts.inventoryShare":        "0",
		"inventory.minChunkSize":          "1KiB",
		"inventory.maxChunkSize":          "1KiB",
		"inventory.totalSize":             "40KiB",
		"worker.duties.stock":             "true",
		"sweep.grace":                     "2s",
		"sweep.interval":                  "1s",
	}, "1KiB", "40")
	crowd := make([]*ownFarmer, farmers)
	for i := range crowd {
		crowd[i] = neighbour(t, n.URL, i, contracts, 2*time.Second)
	}
	heartbeats := func(more int64) {
		t.Helper()
		before := sum(crowd).Heartbeats
		within(t, "heartbeats", func() bool { return sum(crowd).Heartbeats >= before+more })
	}
	heartbeats(farmers * contracts)
	old := keysOf(t, n.URL)[0]

	// The node starts without its key.
	key, away := filepath.Join(n.Dir, "heartbeat.json"), filepath.Join(t.TempDir(), "away")
	n.Terminate(t)
	if err := os.Rename(key, away); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, n.Run(t, "heartbeat", "new", "--type", string(scheme)), 0o600); err != nil {
		t.Fatal(err)
	}
	n.Restart(t)
	within(t, "the node refuses to start", func() bool { return !n.Running() })
	if log := n.LogTail(); !strings.Contains(log, old.Fingerprint) || !strings.Contains(log, fmt.Sprint(farmers*contracts, " contracts")) {
		t.Errorf("the node does not say that %d contracts need the key %s:\n%s", farmers*contracts, old.Fingerprint, log)
	}
	if err := os.Rename(away, key); err != nil {
		t.Fatal(err)
	}
	n.Restart(t)
	within(t, "the node is ready", n.Ready)
	heartbeats(farmers * contracts)

	before := sum(crowd)
	args := []string{"keys", "rotate"}
	if compromised {
		args = append(args, "--compromised")
	}
	n.Run(t, args...)
	began := time.Now()
	within(t, "the old key is retired", func() bool {
		keys := keysOf(t, n.URL)
		return len(keys) == 2 && keys[0].State == "retired" && keys[1].State == "active"
	})
	took := time.Since(began)
	heartbeats(farmers * contracts)
	after := sum(crowd)
	fmt.Printf("%s, compromised %t: the old key retired after %.0f s with %d heartbeats: wrong %d, failed requests %d\n",
		scheme, compromised, took.Seconds(), after.Heartbeats-before.Heartbeats, after.Rejected, after.Retries-before.Retries)
	if after.Rejected > 0 || after.Retries > before.Retries {
		t.Error("farmers noticed that the key was replaced")
	}

	// The node needs only the new key.
	n.Run(t, "keys", "retire", old.Fingerprint[:12])
	if _, err := os.Stat(key); !os.IsNotExist(err) {
		t.Errorf("the file of the retired key: %v", err)
	}
	n.Terminate(t)
	n.Restart(t)
	within(t, "the node is ready", n.Ready)
	heartbeats(2 * farmers * contracts)
	if after := sum(crowd); after.Rejected > 0 || after.Refused > 0 {
		t.Errorf("without the old key: %+v", after)
	}
	db, err := sql.Open("sqlite", filepath.Join(n.Dir, "downstream.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var expired int64
	if err := db.QueryRow("SELECT SUM(expired) FROM tokens").Scan(&expired); err != nil || expired > 0 {
		t.Errorf("%d contracts expired, %v", expired, err)
	}
}

// sum adds up what the farmers say of themselves.
func sum(crowd []*ownFarmer) (total farmer.Snapshot) {
	for _, f := range crowd {
		total = total.Plus(f.Snapshot())
	}
	return total
}
