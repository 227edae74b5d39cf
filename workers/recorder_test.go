package workers_test

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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
			if err := workers.NewRecorder(h.deps(), recording, 1).Run(ctx); err != nil {
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
		recorder := workers.NewRecorder(deps, recording, 1)
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

// One recorder looks at the copies, and all export what it has found.
func TestRecorderLooksAtCopies(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		h.takeOne(t, "seed")
		_, err := h.Store.Copies(t.Context(), 0, 10) // as after the redundancy was raised
		must(t, err)
		for range 2 {
			deps, registry := h.deps(), prometheus.NewRegistry()
			deps.Registry = registry
			must(t, workers.NewRecorder(deps, recording, 2).Copies(t.Context()))
			families, err := registry.Gather()
			must(t, err)
			got := map[string]float64{}
			for _, family := range families {
				got[family.GetName()] = family.Metric[0].Gauge.GetValue()
			}
			want := map[string]float64{
				"downstream_files_held": 1, "downstream_files_below_target": 1, "downstream_copies_live": 1,
				"downstream_copies_lost_24h": 0, "downstream_copies_repaired_24h": 0,
			}
			if !maps.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
			h.Clock.Advance(time.Minute)
		}
		if hours, err := h.Store.CopyHours(t.Context(), time.Time{}); err != nil || len(hours) != 1 || !hours[0].At.Equal(start) {
			t.Errorf("%+v, %v; want one look", hours, err)
		}
	})
}

// The recorder exports the sizes of the node, and nothing if it cannot read them.
func TestRecorderExportsTheSizesOfTheNode(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		deps, registry := h.deps(), prometheus.NewRegistry()
		deps.Registry = registry
		recorder := workers.NewRecorder(deps, recording, 1)
		exported := func() map[string]float64 {
			families, err := registry.Gather()
			must(t, err)
			got := map[string]float64{}
			for _, family := range families {
				if name := family.GetName(); !strings.HasPrefix(name, "downstream_files") && !strings.HasPrefix(name, "downstream_copies") {
					got[name] = family.Metric[0].Gauge.GetValue()
				}
			}
			return got
		}
		if got := exported(); len(got) > 0 {
			t.Errorf("before the first look: %v", got)
		}
		must(t, recorder.Measure(t.Context()))
		want := map[string]float64{
			"downstream_farmers": 1, "downstream_farmers_online": 0, "downstream_contracts": 0, "downstream_contracts_bytes": 0,
			"downstream_inventory_chunks": 0, "downstream_inventory_bytes": 0,
		}
		if got := exported(); !maps.Equal(got, want) {
			t.Errorf("before the first contract: %v, want %v", got, want)
		}
		h.takeOne(t, "seed")
		_, err := newStocker(h.deps()).StockOne(t.Context())
		must(t, err)
		must(t, recorder.Measure(t.Context()))
		want = map[string]float64{
			"downstream_farmers": 1, "downstream_farmers_online": 1, "downstream_contracts": 1, "downstream_contracts_bytes": 100,
			"downstream_inventory_chunks": 1, "downstream_inventory_bytes": 64,
		}
		if got := exported(); !maps.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := recorder.Measure(ended); err == nil {
			t.Error("no error, though the database could not be read")
		}
		if got := exported(); len(got) > 0 {
			t.Errorf("if the database cannot be read: %v", got)
		}
	})
}
