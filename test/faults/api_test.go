//go:build faults

package faults

import (
	"testing"

	"github.com/driveshare/downstream-node/test/deployment"
	"github.com/driveshare/downstream-node/test/ledger"
)

// An API replica is killed while a farmer waits for its verdicts. The records
// contain the verdicts. The farmer must get them from the other replica.
func TestAPIKilledWhileWaiting(t *testing.T) {
	t.Parallel()
	const proofs = 5
	n := start(t, deployment.Settings{"contracts.interval": "60s"}, "10")
	apis := twoAPIs(t, n)
	worker := n.Worker(t, nil)
	worker.Pause()
	queue := n.OpenRedis(t)
	var told ledger.Ledger
	l := startLoad(t, loadOptions{
		URLs: urls(apis), Farmers: 1, Contracts: proofs, Size: chunkSize, Batch: proofs, Ledger: &told,
	})
	eventually(t, "the farmer waits", func() bool { return length(t, queue) == 1 })
	apis[0].Kill()
	worker.Resume()
	l.await(t, proofs)
	if tally := audit(t, n, l, &told); tally.Broken != 1 {
		t.Errorf("%d requests were cut off, want one", tally.Broken)
	}
	for _, outcome := range []string{"ok", "ok_again"} { // outcomes of the first request and of its retry
		name := `downstream_worker_verdicts_total{outcome="` + outcome + `"}`
		if got := worker.Metric(t, name); got != proofs {
			t.Errorf("%s %v, want %d", name, got, proofs)
		}
	}
}

// API replicas are killed under load. Farmers continue with the replica that still
// runs.
func TestAPIsKilledUnderLoad(t *testing.T) {
	n := start(t, nil, "300")
	apis := append(twoAPIs(t, n), n.API(t, nil))
	n.Worker(t, nil)
	var told ledger.Ledger
	l := begin(t, apis, &told)
	for _, api := range apis[:2] {
		l.await(t, 150)
		api.Kill()
	}
	l.await(t, 150)
	audit(t, n, l, &told)
}

// All replicas are replaced, one after the other, behind a balancer that works as a
// Service does. No request may fail.
func TestAPIRollout(t *testing.T) {
	t.Parallel()
	n := start(t, nil, "300")
	apis := twoAPIs(t, n)
	n.Worker(t, nil)
	b := startBalancer(t, apis...)
	var told ledger.Ledger
	l := startLoad(t, loadOptions{
		URLs: []string{b.URL}, Farmers: 8, Contracts: 25, Size: chunkSize, Batch: 10,
		WrongEach: 20, AgainEach: 10, Ledger: &told,
	})
	for range 2 {
		for i, old := range apis {
			own := deployment.Settings(nil)
			if i == 1 {
				own = n.SwizzleFirst()
			}
			apis[i] = n.LaunchAPI(t, own)
			b.add(apis[i])
			eventually(t, "the new replica is ready", apis[i].Ready)
			l.await(t, 100)
			old.Terminate(t)
		}
	}
	l.await(t, 100)
	if tally := audit(t, n, l, &told); tally.Unavailable+tally.Broken > 0 {
		t.Errorf("%d requests failed during the rollout", tally.Unavailable+tally.Broken)
	}
}
