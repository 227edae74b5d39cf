package workers_test

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
	"github.com/driveshare/downstream-node/workers"
)

// Dashboards and alerts use the names of these metrics, so the names must not
// change.
func TestMetrics(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		deps := h.deps()
		registry := prometheus.NewRegistry()
		registry.MustRegister(h.Queue.Collector())
		deps.Registry = registry
		deps.Registry = registry
		verifier, stocker := workers.NewVerifier(deps, "worker", usual(), wrongAnswers), newStocker(deps)
		workers.NewSweeper(deps, sweeping, retention)
		end := testnode.Background(t, func(ctx context.Context) { must(t, verifier.Run(ctx)) })
		c := h.takeOne(t, "seed")
		h.submit(t, c).want(t, node.OK)
		h.empty(t)
		_, err := stocker.StockOne(t.Context())
		must(t, err)

		families, err := registry.Gather()
		must(t, err)
		got := map[string]bool{}
		for _, family := range families {
			got[family.GetName()] = true
			for _, m := range family.Metric {
				if m.Histogram != nil && m.Histogram.GetSampleCount() == 0 {
					t.Errorf("%s has no sample with the labels %v", family.GetName(), m.Label)
				}
			}
		}
		for _, want := range []string{
			"downstream_worker_verdicts_total", "downstream_worker_late_jobs_total", "downstream_worker_dead_letters_total",
			"downstream_worker_stage_seconds", "downstream_worker_chunks_stocked_total", "downstream_worker_chunks_stocked_bytes_total",
			"downstream_worker_contracts_expired_total", "downstream_queue_backlog_jobs", "downstream_queue_pending_jobs",
			"downstream_queue_oldest_seconds", "downstream_queue_dead_letters",
		} {
			if !got[want] {
				t.Errorf("the metric %s is missing", want)
			}
		}

		// Without Redis the length of the queue is unknown, not 0.
		end()
		must(t, h.Redis.Close())
		families, err = registry.Gather()
		must(t, err)
		for _, family := range families {
			if family.GetName() == "downstream_queue_backlog_jobs" {
				t.Errorf("without Redis the backlog is %v", family.Metric)
			}
		}
	})
}
