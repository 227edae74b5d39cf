//go:build faults

package faults

import (
	"database/sql"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/test/deployment"
	"github.com/driveshare/downstream-node/test/ledger"
)

// alone starts a farmer that acts only if the test calls its steps. It takes contracts
// and returns when the contracts are due in less than ahead.
func alone(t *testing.T, api *deployment.Replica, contracts int, ahead time.Duration, told *ledger.Ledger) (*load, *client) {
	t.Helper()
	l := newLoad(t, loadOptions{URLs: []string{api.URL}, Farmers: 1, Contracts: contracts, Size: chunkSize, Batch: 1, Ledger: told})
	c := l.farmers[0]
	if err := c.take(); err != nil || len(c.contracts) != contracts {
		t.Fatalf("took %d contracts, want %d: %v", len(c.contracts), contracts, err)
	}
	time.Sleep(time.Until(c.contracts[0].due.Add(-ahead)))
	return l, c
}

// A proof arrives close to its due time, and its worker is killed while it holds the job.
// Another worker is alive. It must notice, and the farmer must get its verdict within
// five seconds, with the usual times of takeover.
func TestWorkerKilledCloseToDue(t *testing.T) {
	t.Parallel()
	n := start(t, deployment.Settings{"api.answerTimeout": "20s", "worker.jobHardLimit": "5s", "worker.claimIdle": "12s"}, "20")
	api := n.API(t, nil)
	var told ledger.Ledger
	for _, step := range []string{"read", "verified", "committed"} {
		t.Run(step, func(t *testing.T) {
			l, c := alone(t, api, 1, 4*time.Second, &told)
			doomed := n.Worker(t, nil, "DOWNSTREAM_FAULT_POINT="+step+":1:kill")
			heir := n.Worker(t, nil)
			heir.Pause() // so that the doomed worker reads the job
			time.Sleep(time.Until(c.contracts[0].due.Add(-1500 * time.Millisecond)))
			began := time.Now()
			answered := make(chan error, 1)
			go func() { answered <- c.answer() }()
			select {
			case <-doomed.Exited():
			case <-time.After(deathPatience):
				t.Fatalf("the worker did not reach %q", step)
			}
			heir.Resume()
			err := <-answered
			took := time.Since(began)
			if err != nil || took > 5*time.Second {
				t.Errorf("the farmer waited %v, %v; want a verdict within 5s", took, err)
			}
			audit(t, n, l, &told)
			t.Logf("verdict after %.1f s, contracts lost %d", took.Seconds(), l.tally().Expired)
			heir.Terminate(t)
		})
	}
}

// A proof arrives in time. Its worker is killed, no other worker is alive, and the
// request ends without a verdict. The farmer repeats it after the due time, and even
// after the sweeper has expired the contract. The proof is still in time. A contract
// without a proof in time has expired.
func TestRetryAfterDueIsInTime(t *testing.T) {
	t.Parallel()
	n := start(t, deployment.Settings{"api.answerTimeout": "1s", "sweep.grace": "1s", "sweep.interval": "100ms"}, "20")
	api := n.API(t, nil)
	var told ledger.Ledger
	for _, late := range []struct {
		name  string
		swept bool
	}{{"after due", false}, {"after the sweep", true}} {
		t.Run(late.name, func(t *testing.T) {
			l, c := alone(t, api, 2, 4*time.Second, &told)
			first := c.contracts[0]
			doomed := n.Worker(t, deployment.Settings{"worker.duties.sweep": "false"}, "DOWNSTREAM_FAULT_POINT=verified:1:kill")
			time.Sleep(time.Until(first.due.Add(-1500 * time.Millisecond)))
			if err := c.answer(); err == nil {
				t.Fatal("the request got a verdict although its worker was killed")
			}
			<-doomed.Exited()
			time.Sleep(time.Until(first.due.Add(2 * time.Second))) // due may be a second later than the farmer knows
			heir := n.Worker(t, deployment.Settings{"worker.duties.sweep": map[bool]string{true: "true", false: "false"}[late.swept]})
			db := n.Database(t)
			if late.swept {
				eventually(t, "the contracts are swept", func() bool { return live(t, db, c.id) == 0 })
			}
			eventually(t, "a verdict", func() bool { return c.answer() == nil })
			if !first.answered {
				t.Error("the proof that arrived in time was not accepted")
			}
			// The node says so only when it knows that it was not at fault.
			eventually(t, "the contract without a proof in time has expired", func() bool { return c.answer() == nil && l.tally().Expired == 1 })
			if got := live(t, db, c.id); late.swept && got != 1 {
				t.Errorf("%d contracts are live, want 1", got)
			}
			audit(t, n, l, &told)
			t.Logf("proofs in time 1, accepted on retry %d, contracts without a proof in time 1, expired %d",
				map[bool]int{true: 1}[first.answered], l.tally().Expired)
			heir.Terminate(t)
		})
	}
}

// live returns how many contracts the farmer's token counts.
func live(t *testing.T, db *sql.DB, farmer string) (contracts int) {
	t.Helper()
	err := db.QueryRowContext(t.Context(),
		"SELECT COUNT(*) FROM contracts c JOIN tokens t ON t.id = c.token_id WHERE t.farmer_id = ? AND c.live = 1", farmer).Scan(&contracts)
	if err != nil {
		t.Fatal(err)
	}
	return contracts
}
