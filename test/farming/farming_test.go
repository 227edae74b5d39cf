package farming

import (
	"testing"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/farmer"
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

// capacities are the bytes that farmers store. The first farmers take the largest
// chunks, and the later farmers take smaller chunks. Two farmers have each
// capacity, one for each scheme.
var capacities = [farmers / 2]int64{
	64 << 20, 16 << 20, 4 << 20, 2 << 20, 1 << 20, 256 << 10, 64 << 10, 16 << 10, 4 << 10, 1 << 10,
}

// Two API replicas, three workers and twenty farmers run for three intervals. Every
// heartbeat must be counted once. A farmer that ran during the whole test must have
// an uptime of 100 %.
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
		// Farmers stop on purpose, which can make the node seem unreachable.
		"contracts.unreachableHold": "0s",
	})
	for range 3 {
		n.Worker(t, nil)
	}
	apis := []*deployment.Replica{n.API(t, nil), n.API(t, n.SwizzleFirst())}
	awaitInventory(t, n)

	var told ledger.Ledger
	members := make([]*member, farmers)
	for i := range members {
		members[i] = farm(t, apis[i%2].URL, i, capacities[i/2], &told)
	}
	began := time.Now()
	stopped := members[farmers-1] // this farmer stops after its first proof, so it is online until its second due
	stopped.stopBetweenRequests(t)
	time.Sleep(time.Until(began.Add(intervals * interval)))

	list, heard, count := audit(t, n, apis[0].URL, &told)
	t.Log(count)
	if !count.Clean() {
		t.Error("the records differ from the verdicts that farmers received")
	}
	for i, m := range members {
		id := m.Snapshot().FarmerID
		checkFarmer(t, i, m, heard[id], list[id], m == stopped)
	}
	checkVariety(t, n.Records(t).Contracts)
}

var binary string

func TestMain(m *testing.M) { deployment.Main(m, &binary) }

// awaitInventory waits until the workers have encoded a chunk of every size for
// both keys.
func awaitInventory(t *testing.T, n *deployment.Node) {
	t.Helper()
	want := 0
	for size := smallest; size <= largest; size *= 2 {
		want += 2
	}
	for deadline := time.Now().Add(2 * time.Minute); n.Records(t).Waiting < want; {
		if time.Now().After(deadline) {
			t.Fatalf("the inventory has %d chunks after two minutes, not %d", n.Records(t).Waiting, want)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// audit compares the records and the status list with the ledger. The farmers
// continue in the meantime. If a heartbeat is recorded but not yet confirmed to the
// farmer, the records have one heartbeat too many for a moment. A lost or doubled
// heartbeat stays wrong, so audit compares several times. heard maps each farmer to
// the number of heartbeats that were confirmed to it when audit read the list.
func audit(t *testing.T, n *deployment.Node, url string, told *ledger.Ledger) (
	list map[string]farmer.FarmerStatus, heard map[string]int64, count ledger.Count,
) {
	t.Helper()
	client, err := farmer.NewClient(url, farmer.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for range 100 {
		statuses, err := client.StatusList(t.Context(), farmer.StatusQuery{})
		if err != nil {
			t.Fatal(err)
		}
		list = make(map[string]farmer.FarmerStatus, len(statuses))
		heard = make(map[string]int64, len(statuses))
		agree := true
		for _, s := range statuses {
			list[s.ID], heard[s.ID] = s, told.Heartbeats(s.ID)
			agree = agree && s.Heartbeats == heard[s.ID]
		}
		if count = told.Audit(n.Records(t)); agree && count.Clean() {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return list, heard, count
}

func checkFarmer(t *testing.T, number int, m *member, heard int64, status farmer.FarmerStatus, stopped bool) {
	t.Helper()
	held := m.Snapshot()
	if status.ID == "" || status.Heartbeats != heard {
		t.Errorf("farmer %d: %d heartbeats in the status list, %d confirmed", number, status.Heartbeats, heard)
	}
	if held.Rejected > 0 || held.Refused > 0 {
		t.Errorf("farmer %d: %d proofs rejected, %d contracts refused: %s", number, held.Rejected, held.Refused, held.LastError)
	}
	if stopped {
		if status.Uptime >= 100 || status.Online {
			t.Errorf("farmer %d stopped: uptime %v, online %v", number, status.Uptime, status.Online)
		}
		return
	}
	if status.Uptime != 100 || !status.Online {
		t.Errorf("farmer %d: uptime %v, online %v", number, status.Uptime, status.Online)
	}
	if status.Heartbeats < intervals-1 {
		t.Errorf("farmer %d: %d heartbeats in %d intervals", number, status.Heartbeats, intervals)
	}
}

// checkVariety fails the test if a case was not tested. The test must cover both
// schemes, and all chunk sizes from the smallest to the largest.
func checkVariety(t *testing.T, contracts []deployment.Contract) {
	t.Helper()
	type kind struct {
		scheme heartbeat.Type
		size   int64
	}
	heartbeats := map[kind]int64{}
	for _, c := range contracts {
		heartbeats[kind{heartbeat.Type(c.Scheme), c.Size}] += c.Heartbeats
	}
	for _, scheme := range []heartbeat.Type{heartbeat.Merkle, heartbeat.Swizzle} {
		for size := int64(smallest); size <= largest; size *= 2 {
			if heartbeats[kind{scheme, size}] == 0 {
				t.Errorf("%s: no heartbeat for a chunk of %d bytes", scheme, size)
			}
		}
	}
	t.Logf("%d contracts", len(contracts))
}
