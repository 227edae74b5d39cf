package farming

import (
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/test/deployment"
	"github.com/driveshare/downstream-node/test/ledger"
)

const (
	interval  = 15 * time.Second
	intervals = 3
	farmers   = 20
	smallest  = 1 << 10
	largest   = 32 << 20
)

// capacities are what farmers hold: the largest chunks go to the first, and
// those after them get what is smaller. Two farmers, one of each scheme, have
// each of them.
var capacities = [farmers / 2]int64{
	64 << 20, 16 << 20, 4 << 20, 2 << 20, 1 << 20, 256 << 10, 64 << 10, 16 << 10, 4 << 10, 1 << 10,
}

// Two API replicas, three workers and twenty farmers for three intervals: all
// heartbeats count, none of them twice, and who farmed all the time is at 100
// percent.
func TestSeparateProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("takes three intervals")
	}
	n := deployment.Start(t, binary, testenv.Fast, deployment.Settings{
		"contracts.interval":     interval.String(),
		"inventory.minChunkSize": "1KiB",
		"inventory.maxChunkSize": "32MiB",
		"inventory.totalSize":    "64MiB", // for each key: one chunk of each size
		"sweep.grace":            "1s",
		"sweep.interval":         "1s",
	})
	for range 3 {
		n.Worker(t, nil)
	}
	apis := []*deployment.Replica{n.API(t, nil), n.API(t, n.SwizzleFirst())}
	awaitInventory(t, n)

	var told ledger.Ledger
	crew := make([]*member, farmers)
	for i := range crew {
		crew[i] = farm(t, apis[i%2].URL, i, capacities[i/2], &told)
	}
	began := time.Now()
	stopped := crew[farmers-1] // on purpose, after its first answer: it lives to the second due
	stopped.stopBetweenAnswers(t)
	time.Sleep(time.Until(began.Add(intervals * interval)))

	list, heard, count := audit(t, n, apis[0].URL, &told)
	t.Log(count)
	if !count.Clean() {
		t.Error("the records are not what farmers were told")
	}
	for i, m := range crew {
		id := m.Snapshot().FarmerID
		checkFarmer(t, i, m, heard[id], list[id], m == stopped)
	}
	checkVariety(t, n.Records(t).Contracts)
}
