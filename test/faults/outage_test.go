//go:build faults

package faults

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/farmer"
	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/test/deployment"
)

// The node fails for longer than an interval. It must cost no honest farmer a contract
// or uptime, and a farmer that died before must still be found out.
func TestOutageCostsNothing(t *testing.T) {
	t.Parallel()
	const interval = 20 * time.Second
	for _, tt := range []struct {
		name    string
		outage  float64 // in intervals
		fail    func(t *testing.T, n *deployment.Node, api, worker *deployment.Replica)
		recover func(t *testing.T, n *deployment.Node, api, worker *deployment.Replica)
	}{
		{
			"everything killed", 1,
			func(_ *testing.T, _ *deployment.Node, api, worker *deployment.Replica) { api.Kill(); worker.Kill() },
			func(t *testing.T, _ *deployment.Node, api, worker *deployment.Replica) {
				api.Restart(t)
				worker.Restart(t)
			},
		},
		{
			"everything killed for long", 3.25,
			func(_ *testing.T, _ *deployment.Node, api, worker *deployment.Replica) { api.Kill(); worker.Kill() },
			func(t *testing.T, _ *deployment.Node, api, worker *deployment.Replica) {
				api.Restart(t)
				worker.Restart(t)
			},
		},
		{
			"no worker", 2,
			func(_ *testing.T, _ *deployment.Node, _, worker *deployment.Replica) { worker.Kill() },
			func(t *testing.T, _ *deployment.Node, _, worker *deployment.Replica) { worker.Restart(t) },
		},
		{
			"everything stopped", 3,
			func(_ *testing.T, _ *deployment.Node, api, worker *deployment.Replica) { api.Pause(); worker.Pause() },
			func(_ *testing.T, _ *deployment.Node, api, worker *deployment.Replica) { api.Resume(); worker.Resume() },
		},
		{
			"no MariaDB", 2,
			func(_ *testing.T, n *deployment.Node, _, _ *deployment.Replica) { n.MariaDB.Kill() },
			func(t *testing.T, n *deployment.Node, _, _ *deployment.Replica) { n.MariaDB.Start(t) },
		},
		{
			"no Redis", 2,
			func(_ *testing.T, n *deployment.Node, _, _ *deployment.Replica) { n.Redis.Kill() },
			func(t *testing.T, n *deployment.Node, _, _ *deployment.Replica) { n.Redis.Start(t) },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := start(t, deployment.Settings{
				"contracts.interval": interval.String(), "heartbeat.challenges": "256", "sweep.interval": "1s", "sweep.grace": "1s",
			}, "30")
			api, worker := n.API(t, nil), n.Worker(t, nil)
			var honest []*ownFarmer
			for range 4 {
				honest = append(honest, startFarmer(t, api.URL, 4))
			}
			dead := startFarmer(t, api.URL, 4)
			for _, f := range append(honest, dead) {
				f.awaitHeartbeats(t, 8) // two for each contract
			}
			dead.stop()
			time.Sleep(time.Second)
			before := map[*ownFarmer]int64{}
			for _, f := range honest {
				before[f] = f.Snapshot().Heartbeats
			}
			tt.fail(t, n, api, worker)
			time.Sleep(time.Duration(tt.outage * float64(interval)))
			tt.recover(t, n, api, worker)

			db := n.Database(t)
			fault := func(what string) (value int64) {
				// The database may not be back yet.
				if err := db.QueryRow("SELECT " + what + " FROM faults").Scan(&value); err != nil && err != sql.ErrNoRows {
					t.Log(err)
				}
				return value
			}
			within(t, "the fault is applied", func() bool { return fault("applied") == 1 })
			over := time.UnixMicro(fault("ended"))
			within(t, "the dead farmer's contracts have ended", func() bool { return live(t, db, dead.id) == 0 })
			found := time.Since(over)
			for _, f := range honest {
				f.awaitHeartbeats(t, before[f]+8) // two for each contract
			}
			var lost int64
			below := 0
			for _, f := range honest {
				lost += f.Snapshot().Dropped + f.Snapshot().Rejected
				if uptimeOf(t, api.URL, f.id) < 100 {
					below++
				}
			}
			var expired int64
			testenv.Must(t, db.QueryRow("SELECT SUM(expired) FROM tokens").Scan(&expired))
			fmt.Printf("%s for %v: contracts lost %d, honest farmers below 100 %% %d, void %d, expired %d, the dead farmer found out %.0f s after the end\n",
				tt.name, time.Duration(tt.outage*float64(interval)), lost, below, fault("voided"), expired, found.Seconds())
			if lost > 0 || below > 0 || expired > 0 || fault("voided") != 4 {
				t.Error("the outage cost an honest farmer something, or the dead farmer's contracts are not void")
			}
			if uptime := uptimeOf(t, api.URL, dead.id); uptime >= 100 {
				t.Errorf("the dead farmer has an uptime of %v %%", uptime)
			}
		})
	}
}

// within waits for what takes several intervals.
func within(t *testing.T, what string, done func() bool) {
	t.Helper()
	const patience = 3 * time.Minute
	for deadline := time.Now().Add(patience); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// ownFarmer is a farmer of this project, with files on disk.
type ownFarmer struct {
	*farmer.Farmer
	id   string
	stop func()
}

func startFarmer(t *testing.T, url string, contracts int) *ownFarmer {
	t.Helper()
	client, err := farmer.NewClient(url, farmer.ClientConfig{Timeout: 10 * time.Second})
	testenv.Must(t, err)
	f, err := farmer.New(farmer.Config{
		Client:    client,
		Address:   deployment.NewAddress(t),
		Dir:       filepath.Join(t.TempDir(), "farmer"),
		Size:      int64(contracts) * chunkSize,
		Retry:     500 * time.Millisecond,
		TakeEvery: time.Second,
		NoSync:    true,
	})
	testenv.Must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := f.Run(ctx); err != nil {
			t.Errorf("farmer: %v", err)
		}
	})
	own := &ownFarmer{Farmer: f, stop: sync.OnceFunc(func() {
		cancel()
		running.Wait()
		client.Close()
	})}
	t.Cleanup(own.stop)
	within(t, "the farmer has a token", func() bool { own.id = f.Snapshot().FarmerID; return own.id != "" })
	return own
}

func (f *ownFarmer) awaitHeartbeats(t *testing.T, number int64) {
	t.Helper()
	within(t, fmt.Sprint(number, " heartbeats"), func() bool { return f.Snapshot().Heartbeats >= number })
}
