//go:build faults

package faults

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/test/deployment"
	"github.com/driveshare/downstream-node/test/ledger"
)

// deathPatience is how long a worker may take to reach its fault point.
const deathPatience = 30 * time.Second

// A worker is killed at each step of a job. The job must be judged once. The farmer
// must get its verdict, at the latest when it repeats its request.
func TestWorkerKilledAtEachStep(t *testing.T) {
	t.Parallel()
	n := start(t, nil, "500")
	apis := twoAPIs(t, n)
	var told ledger.Ledger
	for _, step := range []string{"read", "verified", "committed", "replied", "acknowledged"} {
		t.Run(step, func(t *testing.T) {
			doomed := n.Worker(t, nil, "DOWNSTREAM_FAULT_POINT="+step+":5:kill")
			l := begin(t, apis, &told)
			select {
			case <-doomed.Exited():
			case <-time.After(deathPatience):
				t.Fatalf("the worker did not reach %q", step)
			}
			if sig := doomed.KilledBy(); sig != syscall.SIGKILL {
				t.Fatalf("the worker ended by %v", sig)
			}
			heir := n.Worker(t, nil)
			l.await(t, 200)
			audit(t, n, l, &told)
			heir.Terminate(t)
		})
	}
}

// Workers are killed several times, at random moments.
func TestWorkersKilledAtRandom(t *testing.T) {
	n := start(t, nil, "300")
	apis := twoAPIs(t, n)
	crew := []*deployment.Replica{n.Worker(t, nil), n.Worker(t, nil)}
	var told ledger.Ledger
	l := begin(t, apis, &told)
	const deaths = 12
	for i := range deaths {
		time.Sleep(200*time.Millisecond + rand.N(800*time.Millisecond))
		crew[i%2].Kill()
		crew[i%2] = n.Worker(t, nil)
	}
	l.await(t, 100)
	audit(t, n, l, &told)
}

// Workers are replaced as in a rollout. No verdict may be lost, and no request may
// fail.
func TestWorkerTerminatedUnderLoad(t *testing.T) {
	n := start(t, nil, "300")
	apis := twoAPIs(t, n)
	worker := n.Worker(t, nil)
	var told ledger.Ledger
	l := begin(t, apis, &told)
	for range 4 {
		l.await(t, 150)
		next := n.Worker(t, nil)
		worker.Terminate(t)
		worker = next
	}
	l.await(t, 150)
	if tally := audit(t, n, l, &told); tally.Unavailable+tally.Broken > 0 {
		t.Errorf("%d requests failed while workers were replaced", tally.Unavailable+tally.Broken)
	}
}
