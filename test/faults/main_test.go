//go:build faults

package faults

import (
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/test/deployment"
	"github.com/driveshare/downstream-node/test/ledger"
	"github.com/driveshare/downstream-node/test/load"
)

// binary is the program with fault points, see workers/faultpoint_on.go.
var binary string

func TestMain(m *testing.M) { deployment.Main(m, &binary, "faultpoints") }

// impatient are settings under which a fault and its end fit into seconds.
var impatient = deployment.Settings{
	"contracts.interval":    "6s",
	"contracts.tokensPerIP": "100",
	"heartbeat.challenges":  "64",
	"worker.duties.stock":   "false",
	"worker.jobHardLimit":   "500ms",
	"worker.claimIdle":      "1100ms",
	"worker.concurrency":    "2",
	"api.answerTimeout":     "3s",
	"api.drainDelay":        "1s",
}

const chunkSize = 1024

// start starts the servers of a node and fills its inventory with chunks of
// both schemes.
func start(t *testing.T, settings deployment.Settings, chunks string) *deployment.Node {
	t.Helper()
	both := deployment.Settings{}
	for _, s := range []deployment.Settings{impatient, settings} {
		for key, value := range s {
			both[key] = value
		}
	}
	n := deployment.Start(t, binary, testenv.Durable, both)
	n.Run(t, nil, "chunks", "generate", "1KiB", chunks)
	n.Run(t, n.SwizzleFirst(), "chunks", "generate", "1KiB", chunks)
	return n
}

// twoAPIs are replicas that give tokens for one scheme each.
func twoAPIs(t *testing.T, n *deployment.Node) []*deployment.Replica {
	t.Helper()
	return []*deployment.Replica{n.API(t, nil), n.API(t, n.SwizzleFirst())}
}

func urls(apis []*deployment.Replica) []string {
	all := make([]string, len(apis))
	for i, api := range apis {
		all[i] = api.URL
	}
	return all
}

// begin puts a moderate load on the replicas.
func begin(t *testing.T, apis []*deployment.Replica, told *ledger.Ledger) *load.Load {
	t.Helper()
	return load.Start(t, load.Options{
		URLs:      urls(apis),
		Farmers:   8,
		Contracts: 25,
		Size:      chunkSize,
		Batch:     10,
		WrongEach: 20,
		AgainEach: 10,
		Timeout:   10 * time.Second,
		Ledger:    told,
	})
}

// audit ends the load and holds the ledger against the records. Its line is
// what a fault test ends with.
func audit(t *testing.T, n *deployment.Node, l *load.Load, told *ledger.Ledger) load.Tally {
	t.Helper()
	tally := l.Settle(t)
	count := told.Audit(n.Records(t))
	t.Log(tally)
	t.Log(count)
	if !count.Clean() {
		t.Error("the records are not what farmers were told")
	}
	if count.Verdicts == 0 {
		t.Error("no verdict at all: nothing was tested")
	}
	return tally
}
