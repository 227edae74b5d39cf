//go:build faults

package faults

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/farmer"
	"github.com/driveshare/downstream-node/test/deployment"
	"github.com/driveshare/downstream-node/test/ledger"
)

// chaosTime is short by default, because the test runs beside the outages.
var chaosTime = flag.Duration("chaos", 150*time.Second, "how long TestChaos runs")

const (
	chaosFarmers = 12
	// longestFault is much shorter than the interval, so that no contract expires.
	longestFault = 2 * time.Second
)

// Parts of the node are killed, stopped and emptied in random order. At the end the
// records must be equal to what the farmers were told.
func TestChaos(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)

	n := start(t, deployment.Settings{"contracts.interval": "20s", "heartbeat.challenges": "256"}, "200")
	apis := twoAPIs(t, n)
	workers := []*deployment.Replica{n.Worker(t, nil), n.Worker(t, nil)}
	var told ledger.Ledger
	l := startLoad(t, loadOptions{
		URLs: urls(apis), Farmers: chaosFarmers, Contracts: 20, Size: chunkSize, Batch: 10,
		WrongEach: 20, AgainEach: 10, Timeout: 10 * time.Second, Ledger: &told,
	})
	l.await(t, 100)

	pause := func() { time.Sleep(time.Duration(random.Int64N(int64(longestFault)))) }
	one := func(of []*deployment.Replica) *deployment.Replica { return of[random.IntN(len(of))] }
	restart := func(r *deployment.Replica) {
		r.Kill()
		pause()
		r.Restart(t)
	}
	faults := []struct {
		name   string
		inject func()
		count  int
	}{
		{name: "API replica killed", inject: func() { restart(one(apis)) }},
		{name: "worker killed", inject: func() { restart(one(workers)) }},
		{name: "API replica stopped", inject: func() { r := one(apis); r.Pause(); pause(); r.Resume() }},
		{name: "worker stopped", inject: func() { r := one(workers); r.Pause(); pause(); r.Resume() }},
		{name: "Redis killed", inject: func() { n.Redis.Kill(); pause(); n.Redis.Start(t) }},
		{name: "Redis stopped", inject: func() { n.Redis.Pause(); pause(); n.Redis.Resume() }},
		{name: "Redis emptied", inject: func() { n.Redis.Flush(t) }},
		{name: "MariaDB killed", inject: func() { n.MariaDB.Kill(); pause(); n.MariaDB.Start(t) }},
		{name: "MariaDB stopped", inject: func() { n.MariaDB.Pause(); pause(); n.MariaDB.Resume() }},
	}
	for end := time.Now().Add(*chaosTime); time.Now().Before(end); {
		for _, i := range random.Perm(len(faults)) {
			faults[i].inject()
			faults[i].count++
			pause()
			l.await(t, 5) // the node works again
		}
	}
	for _, f := range faults {
		t.Logf("%s: %d times", f.name, f.count)
	}
	for _, r := range append(apis, workers...) {
		eventually(t, r.Name+" is ready", r.Ready)
	}
	tally := audit(t, n, l, &told)

	records := n.Records(t)
	var heard, recorded int64
	below := 0
	for _, c := range l.farmers {
		heard += told.Heartbeats(c.id)
		recorded += records.Tokens[c.id].Heartbeats
		if uptimeOf(t, apis[0].URL, c.id) < 100 {
			below++
		}
	}
	fmt.Printf("chaos, seed %d: heartbeats told %d = recorded %d, honest farmers below 100 %% %d, contracts lost %d\n",
		seed, heard, recorded, below, tally.Expired)
	if heard != recorded || heard == 0 || below > 0 || tally.Expired > 0 {
		t.Error("the faults cost farmers something")
	}
}

// uptimeOf returns the uptime that the node publishes for a farmer, in percent.
func uptimeOf(t *testing.T, url, id string) float64 {
	t.Helper()
	var status farmer.FarmerStatus
	publishedBy(t, url, "show/"+id, &status)
	return status.Uptime
}
