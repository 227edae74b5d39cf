package workers_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
	"github.com/driveshare/downstream-node/workers"
)

var recording = store.RecordConfig{Minutes: time.Hour, Hours: 24 * time.Hour, FarmerDays: 48 * time.Hour}

// minutes returns how many spans of one minute the record has.
func (h *harness) minutes(t *testing.T) int {
	t.Helper()
	spans, err := h.Store.History(t.Context(), start, h.Now(), time.Minute)
	must(t, err)
	return len(spans)
}

func TestRecorderRuns(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		h.takeOne(t, "seed")
		if n := h.minutes(t); n != 1 {
			t.Errorf("%d minutes of record, want 1", n)
		}
		h.Clock.Advance(5 * time.Hour)
		end := testnode.Background(t, func(ctx context.Context) {
			if err := workers.NewRecorder(h.deps(), recording).Run(ctx); err != nil {
				t.Error(err)
			}
		})
		// The first hour is one row now. The minutes that remain are after that
		// hour.
		waitFor(t, "the folding", func() bool { return h.minutes(t) == 5*60+1-(60-start.Minute()) })
		end()
		spans, err := h.Store.History(t.Context(), start, start, time.Hour)
		must(t, err)
		want := node.Span{Start: start.Truncate(time.Hour), Totals: node.Totals{Farmers: 1, Online: 1, Contracts: 1, Size: 100}}
		if len(spans) != 1 || spans[0] != want {
			t.Errorf("%+v, want %+v", spans, want)
		}
	})
}

// Something other than the store changes the tokens. The recorder must find,
// correct and log the difference.
func TestRecorderBalances(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		var log bytes.Buffer
		deps := h.deps()
		deps.Log = slog.New(slog.NewTextHandler(&log, nil))
		recorder := workers.NewRecorder(deps, recording)
		h.takeOne(t, "seed")
		must(t, recorder.Balance(t.Context()))
		if log.Len() > 0 {
			t.Errorf("the record is right, but the recorder logged: %s", &log)
		}
		must(t, h.Store.MigrateDown(t.Context(), 3)) // version 3 has no record
		must(t, h.Store.Migrate(t.Context()))
		for range 2 {
			must(t, recorder.Balance(t.Context()))
			if n := strings.Count(log.String(), "corrected"); n != 1 {
				t.Errorf("logged %d times: %s", n, &log)
			}
		}
		spans, err := h.Store.History(t.Context(), start, h.Now(), time.Minute)
		must(t, err)
		if len(spans) != 1 || spans[0].Farmers != 1 || spans[0].Contracts != 1 {
			t.Errorf("the record is %+v", spans)
		}
	})
}
