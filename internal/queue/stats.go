package queue

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/internal/redisdb"
)

// Stats describes the queue.
type Stats struct {
	Length      int64 // jobs that wait or are in flight: the backlog
	Pending     int64 // jobs in flight: delivered to a worker
	DeadLetters int64 // number of dead letters in the dead-letter stream

	// OldestWaiting is the age of the oldest job in the backlog.
	OldestWaiting time.Duration

	// Totals of all workers since Redis was last empty. If a transaction was
	// retried, its jobs may count twice.
	Processed int64
	Late      int64
	Dead      int64
}

// Stats reads the state of the queue. It reads the values one after the other, so
// they may be slightly inconsistent.
func (q *Queue) Stats(ctx context.Context) (Stats, error) {
	ctx, cancel := q.db.Bound(ctx)
	defer cancel()
	pipe := q.db.Client.Pipeline()
	length := pipe.XLen(ctx, q.jobsKey())
	first := pipe.XRangeN(ctx, q.jobsKey(), "-", "+", 1)
	dead := pipe.XLen(ctx, q.deadKey())
	counters := pipe.HGetAll(ctx, q.countersKey())
	now := pipe.Time(ctx) // entry ids contain this clock
	pending := pipe.XPending(ctx, q.jobsKey(), group)
	if _, err := pipe.Exec(ctx); err != nil && !noGroup(err) && err != redis.Nil {
		return Stats{}, redisdb.Wrap("read queue stats", err)
	}
	total := func(name string) int64 {
		n, _ := strconv.ParseInt(counters.Val()[name], 10, 64)
		return n
	}
	s := Stats{
		Length:      length.Val(),
		DeadLetters: dead.Val(),
		Processed:   total(countProcessed),
		Late:        total(countLate),
		Dead:        total(countDead),
	}
	if p := pending.Val(); p != nil {
		s.Pending = p.Count
	}
	if entries := first.Val(); len(entries) > 0 {
		ms, _ := splitID(entries[0].ID)
		s.OldestWaiting = max(now.Val().Sub(time.UnixMilli(int64(ms))), 0)
	}
	return s, nil
}

// Collector exports metrics of the queue and reads the values at each scrape. Every
// process of a node registers a Collector, so that the backlog is visible even if
// no worker runs.
type Collector struct{ q *Queue }

var _ prometheus.Collector = Collector{}

// Collector returns the queue's metrics.
func (q *Queue) Collector() Collector { return Collector{q} }

var (
	backlogDesc = prometheus.NewDesc("downstream_queue_backlog_jobs",
		"Jobs that wait for a worker or are in flight.", nil, nil)
	pendingDesc = prometheus.NewDesc("downstream_queue_pending_jobs",
		"Jobs in flight: delivered to a worker and not acknowledged.", nil, nil)
	oldestDesc = prometheus.NewDesc("downstream_queue_oldest_seconds",
		"Age of the oldest job in the queue.", nil, nil)
	deadDesc = prometheus.NewDesc("downstream_queue_dead_letters",
		"Jobs in the dead-letter stream.", nil, nil)
	unsettledDesc = prometheus.NewDesc("downstream_queue_settle_failures_total",
		"Jobs that this process could not acknowledge or put into the dead-letter stream; they are delivered again.", nil, nil)
)

// Describe sends the descriptions of all metrics.
func (c Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{backlogDesc, pendingDesc, oldestDesc, deadDesc, unsettledDesc} {
		ch <- d
	}
}

// collectTimeout limits the time that a scrape waits for Redis.
const collectTimeout = 2 * time.Second

// Collect sends the metrics. It omits the gauges if Redis is unavailable, because a
// missing value is not zero.
func (c Collector) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(unsettledDesc, prometheus.CounterValue, float64(c.q.unsettled.Load()))
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
