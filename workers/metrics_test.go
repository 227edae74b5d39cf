package workers_test

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/queue"
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
		workers.NewSweeper(deps, sweeping, retention, unusedLife)
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
			"downstream_worker_verdicts_total", "downstream_worker_late_jobs_total",
			"downstream_worker_jobs_without_verdict_total", "downstream_worker_dead_letters_total",
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

// unjudged returns the number of jobs that ended without a verdict, by reason. The
// older counters must agree.
func unjudged(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	must(t, err)
	counts, older := map[string]float64{}, map[string]float64{}
	for _, family := range families {
		for _, m := range family.Metric {
			n := m.GetCounter().GetValue()
			switch {
			case m.Counter == nil:
			case family.GetName() != "downstream_worker_jobs_without_verdict_total":
				older[family.GetName()] = n
			case n > 0:
				counts[m.Label[0].GetValue()] = n
			}
		}
	}
	dead := 0.0
	for _, reason := range []string{"malformed", "deliveries", "panic", "refused"} {
		dead += counts[reason]
	}
	if late := older["downstream_worker_late_jobs_total"]; late != counts["late"] {
		t.Errorf("downstream_worker_late_jobs_total is %v, want %v", late, counts["late"])
	}
	if got := older["downstream_worker_dead_letters_total"]; got != dead {
		t.Errorf("downstream_worker_dead_letters_total is %v, want %v", got, dead)
	}
	return counts
}

// Every job that ends without a verdict is counted with its reason.
func TestJobsWithoutAVerdictAreCounted(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		registry := prometheus.NewRegistry()
		deps := h.deps()
		deps.Registry = registry
		cfg := usual()
		cfg.MaxDeliveries = 1
		fault := func(proof []byte) {
			switch string(proof) {
			case "panic":
				panic("test")
			case "slow":
				h.Clock.Advance(20 * time.Second)
			}
		}
		h.key.verifying.Store(&fault)
		c := h.takeOne(t, "seed")
		with := func(proof string) contract { return contract{c.hash, []byte(proof)} }

		killer := h.submit(t, with("delivered too often"))
		h.readJobs(t, 1)
		late := h.submit(t, with("late"), with("late too"))
		h.Clock.Advance(20 * time.Second)
		must(t, h.Redis.Client.XAdd(t.Context(), &redis.XAddArgs{Stream: h.Redis.Key("jobs"), Values: []string{"job", "malformed"}}).Err())
		testnode.Background(t, func(ctx context.Context) {
			must(t, workers.NewVerifier(deps, "worker", cfg, wrongAnswers).Run(ctx))
		})
		killer.want(t, node.Undecided)
		late.want(t, node.Undecided, node.Undecided)
		h.submit(t, with("panic")).want(t, node.Undecided)
		h.submit(t, with("slow")).want(t, node.Undecided)
		broken := h.takeOne(t, "broken")
		record := h.contractNow(t, broken.hash)
		record.State = []byte("broken")
		must(t, h.Redis.Contracts().Put(t.Context(), []node.Contract{record}))
		h.submit(t, broken).want(t, node.Undecided)
		h.submit(t, c).want(t, node.OK)
		h.empty(t)
		want := map[string]float64{
			string(queue.Late): 2, string(queue.Malformed): 1, string(queue.Deliveries): 1, "panic": 1, "undecided": 1,
		}
		if got := unjudged(t, registry); !maps.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	})
}
