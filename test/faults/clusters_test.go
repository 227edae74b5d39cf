//go:build clusters

package faults

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/test/deployment"
	"github.com/driveshare/downstream-node/test/ledger"
)

// clusterSettings are shortTimes with an interval that is much longer than a cluster needs to
// replace a lost node, also on a busy machine, so that no contract may expire.
func clusterSettings(settings deployment.Settings) deployment.Settings {
	all := maps.Clone(shortTimes)
	// While a slot moves, workers cannot acknowledge jobs, so each job is delivered again after
	// worker.claimIdle. That is short here, and a busy machine moves a slot slowly.
	maps.Copy(all, deployment.Settings{"contracts.interval": "30s", "heartbeat.challenges": "256", "worker.maxDeliveries": "100"})
	maps.Copy(all, settings)
	return all
}

// farming is a node on a cluster, with farmers.
type farming struct {
	*deployment.Node
	*load
	apis, workers []*deployment.Replica
	told          ledger.Ledger
	queue         redis.UniversalClient
	faults        []string
}

// farmOn starts two API replicas, three workers and farmers. The settings of the process
// with number i are own(i).
func farmOn(t *testing.T, n *deployment.Node, queue redis.UniversalClient, own func(i int) deployment.Settings) *farming {
	t.Helper()
	stock(t, n, "300")
	f := &farming{Node: n, queue: queue}
	t.Cleanup(func() { queue.Close() })
	swizzle := own(1)
	maps.Copy(swizzle, n.SwizzleFirst())
	f.apis = []*deployment.Replica{n.API(t, own(0)), n.API(t, swizzle)}
	for i := range 3 {
		f.workers = append(f.workers, n.Worker(t, own(i)))
	}
	f.load = startLoad(t, loadOptions{
		URLs: urls(f.apis), Farmers: 12, Contracts: 40, Size: chunkSize, Batch: 10,
		WrongEach: 20, AgainEach: 10, Timeout: 10 * time.Second, Ledger: &f.told,
	})
	f.await(t, 200)
	return f
}

// fault injects a fault and waits until the node works again.
func (f *farming) fault(t *testing.T, name string, inject func()) {
	t.Helper()
	began, before := time.Now(), f.tally()
	inject()
	f.await(t, 30)
	after := f.tally()
	t.Logf("%s: %.1f s, 503 %d, cut off %d", name, time.Since(began).Seconds(), after.Unavailable-before.Unavailable, after.Broken-before.Broken)
	f.faults = append(f.faults, name)
}

// finish ends the farmers and checks that the faults cost them nothing.
func (f *farming) finish(t *testing.T, cluster string) {
	t.Helper()
	for _, p := range append(f.apis, f.workers...) {
		eventually(t, p.Name+" is ready", p.Ready)
	}
	tally := audit(t, f.Node, f.load, &f.told)
	records := f.Records(t)
	var told, recorded int64
	for _, c := range f.farmers {
		told += f.told.Heartbeats(c.id)
		recorded += records.Tokens[c.id].Heartbeats
	}
	dead, err := f.queue.XLen(t.Context(), deployment.DeadLetters).Result()
	if err != nil {
		t.Fatal(err)
	}
	count := f.told.Audit(records)
	fmt.Printf("%s, %d faults: heartbeats told %d = recorded %d, contracts lost %d, chunks handed out twice %d, dead letters %d\n",
		cluster, len(f.faults), told, recorded, tally.Expired, count.HandedOutTwice, dead)
	if told != recorded || told == 0 || tally.Expired > 0 || dead > 0 {
		t.Error("the faults cost farmers something")
	}
}
