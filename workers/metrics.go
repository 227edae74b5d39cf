package workers

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/driveshare/downstream-node/internal/queue"
)

type verifierMetrics struct {
	verdicts *prometheus.CounterVec
	late     prometheus.Counter
	buried   prometheus.Counter

	// The stages of a job, in seconds.
	waited, verify, commit, reply prometheus.Observer
}

func newVerifierMetrics(reg prometheus.Registerer, q *queue.Queue) *verifierMetrics {
	stages := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "downstream_worker_stage_seconds",
		Help:    "Time of each stage: wait (from the farmer's answer to a worker's slot) and verify by job, commit and reply by batch of jobs.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 3, 12),
	}, []string{"stage"})
	m := &verifierMetrics{
		verdicts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "downstream_worker_verdicts_total",
			Help: "Answers judged, by outcome.",
		}, []string{"outcome"}),
		late: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "downstream_worker_late_jobs_total",
			Help: "Jobs acknowledged without judging because their deadline had passed.",
		}),
		buried: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "downstream_worker_dead_letters_total",
			Help: "Jobs put aside because judging them failed in a way that trying again would not mend.",
		}),
		waited: stages.WithLabelValues("wait"),
		verify: stages.WithLabelValues("verify"),
		commit: stages.WithLabelValues("commit"),
		reply:  stages.WithLabelValues("reply"),
	}
	reg.MustRegister(m.verdicts, m.late, m.buried, stages, &queueCollector{queue: q})
	return m
}

// queueCollector reads the queue's state when the metrics are scraped.
type queueCollector struct{ queue *queue.Queue }

var _ prometheus.Collector = (*queueCollector)(nil)

var (
	backlogDesc = prometheus.NewDesc("downstream_queue_backlog_jobs",
		"Jobs that wait for a worker or are in a worker's hands.", nil, nil)
	pendingDesc = prometheus.NewDesc("downstream_queue_pending_jobs",
		"Jobs in workers' hands.", nil, nil)
	oldestDesc = prometheus.NewDesc("downstream_queue_oldest_seconds",
		"Age of the oldest job in the queue.", nil, nil)
	deadDesc = prometheus.NewDesc("downstream_queue_dead_letters",
		"Jobs in the dead-letter stream.", nil, nil)
)

func (c *queueCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{backlogDesc, pendingDesc, oldestDesc, deadDesc} {
		ch <- d
	}
}

// collectTimeout keeps a scrape from waiting for a Redis that is gone.
const collectTimeout = 2 * time.Second

// Collect leaves the gauges out where Redis cannot say: a missing figure is
// not a zero.
func (c *queueCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	stats, err := c.queue.Stats(ctx)
	if err != nil {
		return
	}
	gauge := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	gauge(backlogDesc, float64(stats.Length))
	gauge(pendingDesc, float64(stats.Pending))
	gauge(oldestDesc, stats.OldestWaiting.Seconds())
	gauge(deadDesc, float64(stats.DeadLetters))
}
