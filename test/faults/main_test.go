//go:build faults || clusters

package faults

import (
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/test/deployment"
	"github.com/driveshare/downstream-node/test/ledger"
)

// binary is the path of the program with fault points; see
// workers/faultpoint_on.go.
var binary string

func TestMain(m *testing.M) { deployment.Main(m, &binary, "faultpoints") }

// shortTimes are settings with which a fault and its effects take only seconds.
var shortTimes = deployment.Settings{
	"contracts.interval":    "6s",
	"contracts.tokensPerIP": "100",
	"heartbeat.challenges":  "64",
	"worker.duties.stock":   "false",
	"worker.jobHardLimit":   "500ms",
	"worker.claimIdle":      "1100ms",
	"worker.concurrency":    "2",
	"api.answerTimeout":     "3s",
	"api.drainDelay":        "1s",
	// Most tests stop their farmers at the end, which would make the node seem unreachable.
	"contracts.unreachableHold": "0s",
}

const chunkSize = 1024

var eventually = testenv.WaitFor

// start starts the servers of a node, and fills its inventory with chunks of both
// schemes. options are added to the command line of MariaDB.
func start(t *testing.T, settings deployment.Settings, chunks string, options ...string) *deployment.Node {
	t.Helper()
	both := deployment.Settings{}
	for _, s := range []deployment.Settings{shortTimes, settings} {
		for key, value := range s {
			both[key] = value
		}
	}
	n := deployment.Start(t, binary, testenv.Durable, both, options...)
	stock(t, n, chunks)
	return n
}

// stock adds chunks of both schemes to the inventory.
func stock(t *testing.T, n *deployment.Node, chunks string) {
	t.Helper()
	n.Run(t, nil, "chunks", "generate", "1KiB", chunks)
	n.Run(t, n.SwizzleFirst(), "chunks", "generate", "1KiB", chunks)
}

// twoAPIs starts two replicas. Each replica registers tokens for one scheme.
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

// begin starts a moderate load on the replicas.
func begin(t *testing.T, apis []*deployment.Replica, told *ledger.Ledger) *load {
	t.Helper()
	return startLoad(t, loadOptions{
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

// audit ends the load and compares the ledger with the records. Every fault test
// ends with a call of audit.
func audit(t *testing.T, n *deployment.Node, l *load, told *ledger.Ledger) tally {
	t.Helper()
	tally := l.settle(t)
	count := told.Audit(n.Records(t))
	t.Log(tally)
	t.Log(count)
	if !count.Clean() {
		t.Error("the records differ from the verdicts that farmers received")
	}
	if count.Verdicts == 0 {
		t.Error("there was no verdict, so nothing was tested")
	}
	return tally
}
