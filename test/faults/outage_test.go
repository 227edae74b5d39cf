//go:build faults

package faults

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/farmer"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/test/deployment"
)

// The node fails for longer than an interval. It must cost no honest farmer a contract
// or uptime, and a farmer that died before must still be found out.
func TestOutageCostsNothing(t *testing.T) {
	t.Parallel()
	const (
		normal = 20 * time.Second
		short  = 8 * time.Second // so that many intervals take only minutes; two are longer than the silence that begins a fault
	)
	for _, tt := range []struct {
		name      string
		start     func(*testing.T, time.Duration) *fallible
		interval  time.Duration
		intervals float64 // how long the outage lasts
		begin     func(*testing.T, *fallible)
		end       func(*testing.T, *fallible)
	}{
		{"everything killed", whole, normal, 1, kill, restart},
		{"everything killed", whole, normal, 2, kill, restart},
		{"everything killed", whole, normal, 3.25, kill, restart},
		{"everything killed", whole, short, 20, kill, restart},
		{"no worker", whole, normal, 2, killWorker, restartWorker},
		{"everything stopped", whole, normal, 3, pause, resume},
		{"no MariaDB", whole, normal, 2, killMariaDB, startMariaDB},
		{"no Redis", whole, normal, 2, killRedis, startRedis},
		{"farmers cut off", behindProxy, normal, 3, cutOff, connect},
		{"standalone node killed", standalone, normal, 1, kill, restart},
		{"standalone node killed", standalone, normal, 3.25, kill, restart},
		{"standalone node stopped", standalone, normal, 3, pause, resume},
	} {
		lasts := time.Duration(tt.intervals * float64(tt.interval))
		t.Run(fmt.Sprintf("%s for %v intervals", tt.name, tt.intervals), func(t *testing.T) {
			t.Parallel()
			n := tt.start(t, tt.interval)
			honest, dead, before := farmUntilOutage(t, n)
			tt.begin(t, n)
			time.Sleep(lasts)
			tt.end(t, n)

			within(t, "the fault is over", func() bool { return n.faultsEnded() > 0 })
			over := time.Now()
			within(t, "the dead farmer's contracts are void", func() bool { return n.void() >= 4 })
			found := time.Since(over)
			cost := costOf(t, n, honest, before)
			fmt.Printf("%s for %v, %v intervals of %v: %v, the dead farmer found out %.0f s after the end\n",
				tt.name, lasts, tt.intervals, tt.interval, cost, found.Seconds())
			if (cost != costs{void: 4}) {
				t.Error("the outage cost an honest farmer something, or the dead farmer's contracts are not void")
			}
			if limit := tt.interval + node.Recovery(tt.interval) + 10*time.Second; found > limit { // with the sweeper, and the reports of processes
				t.Errorf("the dead farmer was found out later than %v after the end", limit)
			}
			within(t, "the dead farmer's uptime falls", func() bool { return n.farmer(dead.id).Uptime < 100 })
		})
	}
}

// Farmers with 30 % of the contracts go silent on purpose, so that the node suspects
// itself and holds deadlines. They gain no uptime, and a dead farmer keeps its contracts
// for the hold time longer at most.
func TestSilentAttacker(t *testing.T) {
	t.Parallel()
	const interval, hold = 20 * time.Second, time.Minute
	n := wholeWith(t, interval, deployment.Settings{"contracts.unreachableHold": hold.String()})
	var honest, silent []*ownFarmer
	for range 7 {
		honest = append(honest, startFarmer(t, n.farmersURL(), 4))
	}
	for range 3 {
		silent = append(silent, startFarmer(t, n.farmersURL(), 4))
	}
	dead := startFarmer(t, n.farmersURL(), 1)
	before := map[*ownFarmer]state{}
	for _, f := range slices.Concat(honest, silent) {
		f.awaitHeartbeats(t, 8) // two for each contract
		before[f] = f.state(t, n)
	}
	dead.awaitHeartbeats(t, 2)
	dead.stop()
	for _, f := range silent {
		f.stop()
	}
	stopped := time.Now()
	within(t, "the silent contracts have expired", func() bool { return n.summary().Expired == 13 })
	late := time.Since(stopped) - 2*interval // a proof is good for up to two intervals
	cost := costOf(t, n, honest, before)
	fall := 100.0
	for _, f := range silent {
		fall = min(fall, before[f].uptime-f.state(t, n).uptime)
	}
	fmt.Printf("farmers with 30 %% of the contracts silent: honest farmers: %v; expiry delayed by %.0f s of %v, the silent farmers' uptime fell by %.2f or more\n",
		cost, max(0, late.Seconds()), hold, fall)
	if (cost != costs{expired: 13}) {
		t.Error("the silence cost an honest farmer something, or saved a silent one")
	}
	if late > hold+10*time.Second { // with the sweeper, and the reports of processes
		t.Error("the silence delayed the expiry for too long")
	}
	if fall <= 0 {
		t.Error("a silent farmer's uptime has not fallen")
	}
}

// farmUntilOutage starts four honest farmers and one that dies just before the outage.
// Each of them holds four contracts.
func farmUntilOutage(t *testing.T, n *fallible) (honest []*ownFarmer, dead *ownFarmer, before map[*ownFarmer]state) {
	t.Helper()
	for range 4 {
		honest = append(honest, startFarmer(t, n.farmersURL(), 4))
	}
	dead = startFarmer(t, n.farmersURL(), 4)
	for _, f := range append(honest, dead) {
		f.awaitHeartbeats(t, 8) // two for each contract
	}
	dead.stop()
	time.Sleep(time.Second)
	before = map[*ownFarmer]state{}
	for _, f := range honest {
		before[f] = f.state(t, n)
	}
	return honest, dead, before
}

// state is what an outage must not change for an honest farmer.
type state struct {
	heartbeats, lost int64
	uptime           float64
}

func (f *ownFarmer) state(t *testing.T, n *fallible) state {
	t.Helper()
	s := f.Snapshot()
	return state{s.Heartbeats, s.Dropped + s.Rejected, n.farmer(f.id).Uptime}
}

// costs is what an outage cost.
type costs struct {
	lost          int64   // contracts of honest farmers
	uptime        float64 // the largest change of an honest farmer's uptime, in percent
	void, expired int64   // contracts of all farmers
}

func (c costs) String() string {
	return fmt.Sprintf("contracts lost %d, uptime change %.2f, void %d, expired %d", c.lost, c.uptime, c.void, c.expired)
}

// costOf waits until every contract of the honest farmers has two heartbeats after the
// outage, and returns what the outage cost.
func costOf(t *testing.T, n *fallible, honest []*ownFarmer, before map[*ownFarmer]state) (c costs) {
	t.Helper()
	for _, f := range honest {
		f.awaitHeartbeats(t, before[f].heartbeats+8)
	}
	for _, f := range honest {
		after := f.state(t, n)
		c.lost += after.lost - before[f].lost
		if change := after.uptime - before[f].uptime; change < c.uptime {
			c.uptime = change
		}
	}
	c.void, c.expired = n.void(), n.summary().Expired
	return c
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
	own := farmFrom(t, t.TempDir(), netip.Addr{}, url, contracts, time.Second)
	within(t, "the farmer has a token", func() bool { own.id = own.Snapshot().FarmerID; return own.id != "" })
	return own
}

// farmFrom runs a farmer at a local address, which may be zero. It does not wait for the
// farmer's token.
func farmFrom(t *testing.T, dir string, address netip.Addr, url string, contracts int, takeEvery time.Duration) *ownFarmer {
	t.Helper()
	client, err := farmer.NewClient(url, farmer.ClientConfig{Timeout: 10 * time.Second, LocalAddr: address})
	testenv.Must(t, err)
	f, err := farmer.New(farmer.Config{
		Client:    client,
		Address:   deployment.NewAddress(t),
		Dir:       filepath.Join(dir, "farmer"),
		Size:      int64(contracts) * chunkSize,
		Retry:     500 * time.Millisecond,
		TakeEvery: takeEvery,
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
	return own
}

func (f *ownFarmer) awaitHeartbeats(t *testing.T, number int64) {
	t.Helper()
	within(t, fmt.Sprint(number, " heartbeats"), func() bool { return f.Snapshot().Heartbeats >= number })
}
