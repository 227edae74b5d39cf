package workers_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
	"github.com/driveshare/downstream-node/workers"
)

var sweeping = workers.SweepConfig{Interval: time.Millisecond, Grace: time.Minute, Batch: 3}

const (
	retention  = 24 * time.Hour
	unusedLife = 24 * time.Hour
)

// swept holds the values that a sweep changes.
type swept struct {
	contracts, size int64 // counts of the token
	files           bool  // whether the file of its first contract exists
}

func (h *harness) swept(t *testing.T, first contract) swept {
	t.Helper()
	f, err := h.Store.Farmer(t.Context(), h.token.FarmerID, start) // no contract has expired at start, so the counts are as stored
	must(t, err)
	s := swept{contracts: f.Contracts, size: f.Size}
	known, err := h.Store.Contracts(t.Context(), []node.ContractName{h.named(first.hash)})
	must(t, err)
	s.files = len(known) == 1
	return s
}

// TestActsAreLogged checks that a sweeper logs an administrative act.
func TestActsAreLogged(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		must(t, h.Store.RecordAct(t.Context(), "alice@node", "cleared the chunks"))
		testnode.Background(t, func(ctx context.Context) {
			_ = workers.NewSweeper(h.deps(), sweeping, retention, unusedLife).Run(ctx)
		})
		testenv.WaitFor(t, "the line about the act", func() bool {
			return strings.Contains(h.Logs.String(), `"level":"INFO","msg":"administrative act","who":"alice@node","what":"cleared the chunks"`)
		})
	})
}

func TestSweep(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		sweeper := workers.NewSweeper(h.deps(), sweeping, retention, unusedLife)
		first := h.takeOne(t, "0")
		for _, seed := range []string{"1", "2", "3", "4", "5", "6"} { // more than one batch
			h.takeOne(t, seed)
		}
		steps := []struct {
			name string
			pass time.Duration
			want swept
		}{
			{"alive", 0, swept{7, 700, true}},
			{"expired, but an answer may be in the queue", interval, swept{7, 700, true}},
			{"the grace is over", time.Minute, swept{0, 0, true}},
			{"farmers are told so for a while", 23 * time.Hour, swept{0, 0, true}},
			{"forgotten", 2 * time.Hour, swept{0, 0, false}},
		}
		for _, step := range steps {
			h.Clock.Advance(step.pass)
			for range 2 { // the second sweep changes nothing
				must(t, sweeper.Sweep(t.Context()))
				must(t, sweeper.Clean(t.Context()))
				must(t, sweeper.Prune(t.Context()))
				if got := h.swept(t, first); got != step.want {
					t.Errorf("%s: %+v, want %+v", step.name, got, step.want)
				}
			}
		}
	})
}

// A proof arrives in time, but the sweeper runs before the verdict. The verdict
// must make the contract live again.
func TestVerdictAfterTheSweep(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		c := h.takeOne(t, "seed")
		h.Clock.Advance(interval - time.Second)
		w := h.submit(t, c)
		atOnce := sweeping
		atOnce.Grace = 0
		h.Clock.Advance(2 * time.Second)
		must(t, workers.NewSweeper(h.deps(), atOnce, retention, unusedLife).Sweep(t.Context()))
		if got := h.swept(t, c); got.contracts != 0 {
			t.Fatalf("%+v: the sweeper did not run first", got)
		}
		h.verify(t, "worker", usual())
		w.want(t, node.OK)
		if got, want := h.swept(t, c), (swept{1, 100, true}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}

func TestConcurrentSweepersCountOnce(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		first := h.takeOne(t, "0")
		for _, seed := range []string{"1", "2", "3", "4", "5", "6"} {
			h.takeOne(t, seed)
		}
		h.Clock.Advance(2 * interval)
		var sweepers sync.WaitGroup
		for range 4 {
			sweeper := workers.NewSweeper(h.deps(), sweeping, retention, unusedLife)
			sweepers.Go(func() {
				if err := sweeper.Sweep(context.WithoutCancel(t.Context())); err != nil {
					t.Error(err)
				}
			})
		}
		sweepers.Wait()
		if got, want := h.swept(t, first), (swept{0, 0, true}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}

func TestSweeperRuns(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		first := h.takeOne(t, "seed")
		end := testnode.Background(t, func(ctx context.Context) {
			if err := workers.NewSweeper(h.deps(), sweeping, retention, unusedLife).Run(ctx); err != nil {
				t.Error(err)
			}
		})
		h.Clock.Advance(2 * interval)
		waitFor(t, "the sweep", func() bool { return h.swept(t, first).contracts == 0 })
		end()
	})
}
