package apiserver_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/store"
	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
	"github.com/driveshare/downstream-node/workers"
)

// hour simulates an hour of farming around midnight, with the test's clock. It records
// each farmer's contracts, and the time of each verdict.
type hour struct {
	began, now time.Time
	farmers    []*simFarmer
	made       int // the number of files made so far
}

// simFarmer is a simulated farmer.
type simFarmer struct {
	*farmer
	n            byte                                      // the number of its token
	behaviour    func(h *hour, t *testing.T, f *simFarmer) // runs once each tick
	joined, left time.Time                                 // left is zero until its token is deleted
	held         []*holding                                // all its contracts
	beats, wrong []time.Time                               // the times of its correct and wrong proofs
}

// holding is a contract from the farmer's point of view. The contract ends at until. If
// deleted is true, the contract was deleted then. If completed is true, it had no more
// challenges. Otherwise it expired.
type holding struct {
	contract
	from, due, until   time.Time
	answered           bool
	deleted, completed bool
	tries              int // the number of wrong proofs for the current challenge
}

const tick = 10 * time.Second

// minute returns how many minutes have passed.
func (h *hour) minute() int { return int(h.now.Sub(h.began) / time.Minute) }

// Farmers farm for an hour, and the node restarts in the middle. At the end, the
// node's history must exactly equal the farmers' own records.
func TestHistoryOfAnHour(t *testing.T) {
	t.Parallel()
	for _, backend := range testnode.Backends {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			records := testnode.Config().Database
			records.Driver, records.Path = store.SQLite, filepath.Join(t.TempDir(), "node.db")
			if backend == testnode.Servers {
				records.Driver, records.DSN = store.MySQL, config.Secret(testenv.NewDatabase(t))
			}
			h := &hour{began: time.Date(2026, 1, 2, 23, 28, 5, 678_901_000, time.UTC)}
			h.now = h.began
			open := func(t *testing.T) *harness {
				host := openHarness(t, backend, func(p *plan) { p.cfg.Database = records })
				host.Clock.Advance(h.now.Sub(host.Clock.Now()))
				h.connect(host)
				return host
			}
			t.Run("until the restart", func(t *testing.T) {
				h.farm(t, open(t), 31)
			})
			h.now = h.now.Add(100 * time.Second) // the node is down, and the farmers send nothing
			t.Run("after the restart", func(t *testing.T) {
				host := open(t)
				h.farm(t, host, 60)
				h.settle(t, host)
				h.compare(t, host)
			})
		})
	}
}

// connect connects the farmers to a new node.
func (h *hour) connect(host *harness) {
	for _, f := range h.farmers {
		f.farmer = &farmer{host.replica, host, f.token, f.ip}
	}
}

// farm simulates the farmers and workers until the given minute.
func (h *hour) farm(t *testing.T, host *harness, until int) {
	t.Helper()
	for ; h.minute() < until; h.pass(host) {
		h.arrivals(t, host)
		for _, f := range h.farmers {
			if f.left.IsZero() {
				f.behaviour(h, t, f)
			}
		}
		runWorkers(t, host)
	}
}

func (h *hour) pass(host *harness) {
	h.now = h.now.Add(tick)
	host.Clock.Advance(tick)
}

// arrivals adds the farmers that join now.
func (h *hour) arrivals(t *testing.T, host *harness) {
	t.Helper()
	elapsed := h.now.Sub(h.began)
	for i, a := range []struct {
		at        time.Duration
		behaviour func(*hour, *testing.T, *simFarmer)
	}{
		{0, proveAlways},
		{10 * time.Second, proveAlways},
		{20 * time.Second, proveLate},
		{30 * time.Second, proveAfterWrong},
		{time.Minute, proveNever},
		{2 * time.Minute, goOffline},
		{3 * time.Minute, leave},
		{27 * time.Minute, proveAlways},
		{40 * time.Minute, proveNever},
		{50 * time.Minute, doNothing},
	} {
		if elapsed == a.at || elapsed > a.at && len(h.farmers) <= i {
			n := byte(i + 1)
			h.farmers = append(h.farmers, &simFarmer{farmer: host.newFarmer(t, n), n: n, behaviour: a.behaviour, joined: h.now})
		}
	}
}

// runWorkers runs the sweepers and recorders of two workers in parallel. A real worker
// verifies the proofs.
func runWorkers(t *testing.T, host *harness) {
	t.Helper()
	var running sync.WaitGroup
	for range 2 {
		deps := workers.Deps{Store: host.Store, Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(), Now: host.Clock.Now}
		sweeper := workers.NewSweeper(deps, workers.SweepConfig{Interval: tick, Grace: time.Minute, Batch: 100}, 24*time.Hour, 24*time.Hour)
		recorder := workers.NewRecorder(deps, store.RecordConfig{Minutes: 2 * time.Hour, Hours: 24 * time.Hour, FarmerDays: 96 * time.Hour}, 1)
		running.Go(func() {
			for _, step := range []func(context.Context) error{sweeper.Sweep, recorder.Fold} {
				if err := step(context.WithoutCancel(t.Context())); err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
}

// take adds a chunk with this number of challenges, and the farmer gets the contract
// for it.
func (h *hour) take(t *testing.T, f *simFarmer, challenges int) {
	t.Helper()
	h.made++
	size := 100 + h.made
	f.h.stock(t, fmt.Sprint("file ", h.made), int64(size), heartbeat.EncodeOptions{Challenges: challenges})
	chunks := f.farmer.take(t, size)
	if len(chunks) != 1 {
		t.Fatalf("%d contracts, want 1", len(chunks))
	}
	due := h.now.Add(interval)
	f.held = append(f.held, &holding{contract: chunks[0], from: h.now, due: due, until: due})
}

func (c *holding) expired() bool { return !c.deleted && !c.completed }

// unanswered returns the contracts with an unanswered challenge. It requests the next
// challenge of each contract whose challenge is answered and due.
func (h *hour) unanswered(t *testing.T, f *simFarmer) []*holding {
	t.Helper()
	var open []*holding
	for _, c := range f.held {
		if !c.until.After(h.now) {
			continue
		}
		if c.answered && !h.now.Before(c.due) {
			f.next(t, &c.contract)
			if c.Status != "" {
				c.completed = true
				continue
			}
			c.answered, c.due, c.tries = false, c.until, 0
		}
		if !c.answered {
			open = append(open, c)
		}
	}
	return open
}

func (h *hour) prove(t *testing.T, f *simFarmer, c *holding) {
	t.Helper()
	f.submit(t, c.contract, f.farmer.prove(t, c.contract, nil)).want(t, 200, "ok")
	f.beats = append(f.beats, h.now)
	c.answered, c.until = true, c.due.Add(interval)
}

func (h *hour) sendWrong(t *testing.T, f *simFarmer, c *holding) {
	t.Helper()
	c.tries++
	f.submit(t, c.contract, asJSON(t, fmt.Sprint("a lie, number ", c.tries))).want(t, 400, "")
	if c.tries == 1 { // all malformed proofs for a challenge count as one wrong proof
		f.wrong = append(f.wrong, h.now)
	}
}

// The following functions are the behaviours of farmers.

func proveAlways(h *hour, t *testing.T, f *simFarmer) {
	if len(f.held) < 3 {
		h.take(t, f, []int{20, 20, 4}[len(f.held)])
	}
	for _, c := range h.unanswered(t, f) {
		h.prove(t, f, c)
	}
}

// proveLate sends each proof in the last 20 seconds before the due time.
func proveLate(h *hour, t *testing.T, f *simFarmer) {
	if len(f.held) < 2 {
		h.take(t, f, 20)
	}
	for _, c := range h.unanswered(t, f) {
		if c.due.Sub(h.now) <= 2*tick {
			h.prove(t, f, c)
		}
	}
}

func proveAfterWrong(h *hour, t *testing.T, f *simFarmer) {
	if len(f.held) < 2 {
		h.take(t, f, 20)
	}
	for _, c := range h.unanswered(t, f) {
		if c.tries < 2 {
			h.sendWrong(t, f, c)
		} else {
			h.prove(t, f, c)
		}
	}
}

func proveNever(h *hour, t *testing.T, f *simFarmer) {
	if len(f.held) == 0 {
		h.take(t, f, 20)
	}
	for _, c := range h.unanswered(t, f) {
		h.sendWrong(t, f, c)
	}
}

// goOffline proves its contract until minute 24, and another one from minute 41 to 50.
func goOffline(h *hour, t *testing.T, f *simFarmer) {
	switch {
	case h.minute() < 24 || h.minute() >= 41 && h.minute() < 50:
		if len(f.held) == 0 || h.minute() == 41 && len(f.held) == 1 {
			h.take(t, f, 20)
		}
		for _, c := range h.unanswered(t, f) {
			h.prove(t, f, c)
		}
	}
}

// leave proves its contracts until minute 47. Then its token is deleted.
func leave(h *hour, t *testing.T, f *simFarmer) {
	if h.minute() < 47 {
		proveAlways(h, t, f)
		return
	}
	must(t, f.h.Store.DeleteToken(t.Context(), f.token.Hash().FarmerID(), h.now))
	f.left = h.now
	for _, c := range f.held {
		if c.until.After(h.now) {
			c.until, c.deleted = h.now, true
		}
	}
}

func doNothing(*hour, *testing.T, *simFarmer) {}
