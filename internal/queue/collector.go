package queue

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Collector tells metrics of the queue, read when they are scraped. Every
// process of a node registers it: where no worker is left, that has to show.
type Collector struct{ q *Queue }

var _ prometheus.Collector = Collector{}

// Collector makes the queue's metrics.
func (q *Queue) Collector() Collector { return Collector{q} }

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

// Describe sends the descriptions of all that Collect may send.
func (c Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{backlogDesc, pendingDesc, oldestDesc, deadDesc} {
		ch <- d
	}
}

// collectTimeout keeps a scrape from waiting for a Redis that is gone.
const collectTimeout = 2 * time.Second

// Collect leaves the gauges out where Redis cannot say: a missing figure is
// not a zero.
func (c Collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	stats, err := c.q.Stats(ctx)
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
