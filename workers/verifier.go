package workers

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/driveshare/downstream-node/internal/contracts"
	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/queue"
	"github.com/driveshare/downstream-node/internal/redisdb"
	"github.com/driveshare/downstream-node/internal/store"
)

const (
	// proofsPerCPU and jobsPerCPU limit the number of proofs and jobs in inflight,
	// for each goroutine that verifies.
	proofsPerCPU = 400
	jobsPerCPU   = 128
	// usualJob is the number of proofs that a job is assumed to have before the
	// first job is read.
	usualJob = 100
	// lookupProofs is the maximum number of proofs whose contracts are read
	// together.
	lookupProofs = 100
	// claimEvery is how often the worker looks for jobs to take over.
	claimEvery = 500 * time.Millisecond
	// handBackTimeout limits the calls to Redis at the end of a shutdown.
	handBackTimeout = 2 * time.Second
)

// Verifier judges the proofs that come through the queue.
type Verifier struct {
	cfg          Config // Concurrency is positive
	wrongAnswers int
	store        *store.Store
	contracts    *contracts.Reader
	arrivals     redisdb.Arrivals
	queue        *queue.Queue
	keys         *keyring.Ring
	log          *slog.Logger
	metrics      *verifierMetrics
	consumer     *queue.Consumer
	now          func() time.Time
	known        func() time.Time

	inflight        *inflight
	jobs            chan []queue.Delivery // lookup batches
	verified        chan verifiedJob
	collecting      sync.Mutex    // held by the committer that collects jobs into a batch
	smallCommitSlot chan struct{} // a semaphore: holds one value as long as a small batch is being committed
	committed       chan committedBatch
	commits         atomic.Int64   // number of commits that succeeded
	suspects        sync.WaitGroup // the jobs that are committed alone because their commit failed
}

// NewVerifier creates a verifier. The verifier reads jobs only if Run runs. name is
// the name of its consumer. wrongAnswers is the maximum number of wrong proofs to
// one challenge.
func NewVerifier(deps Deps, name string, cfg Config, wrongAnswers int) *Verifier {
	if cfg.Concurrency == 0 {
		cfg.Concurrency = runtime.GOMAXPROCS(0)
	}
	jobs := jobsPerCPU * cfg.Concurrency
	metrics := newVerifierMetrics(deps.Registry)
	return &Verifier{
		cfg:          cfg,
		wrongAnswers: wrongAnswers,
		store:        deps.Store,
		contracts:    contracts.NewReader(deps.Redis, deps.Store, deps.Log),
		arrivals:     deps.Redis.Arrivals(),
		queue:        deps.Queue,
		keys:         deps.Keys,
		log:          deps.Log,
		metrics:      metrics,
		consumer: deps.Queue.NewConsumer(name, queue.ConsumerOptions{
			MinIdle:       cfg.ClaimIdle,
			MaxDeliveries: int64(cfg.MaxDeliveries),
			Dropped:       func(reason queue.Reason) { metrics.countUnjudged(reason, 1) },
		}),
		now:             deps.clock(),
		known:           deps.known(),
		inflight:        newInflight(cfg.Concurrency, proofsPerCPU*cfg.Concurrency, jobs, usualJob),
		jobs:            make(chan []queue.Delivery, jobs),
		verified:        make(chan verifiedJob, jobs),
		smallCommitSlot: make(chan struct{}, 1),
		committed:       make(chan committedBatch, committers),
	}
}

// Run judges proofs until ctx ends. Then it finishes the jobs in flight, which may
// take at most DrainTimeout.
func (v *Verifier) Run(ctx context.Context) error {
	// The jobs in flight continue after ctx ends, until the drain timeout.
	work, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()

	// The worker stays alive until it has handed back its jobs.
	alive, die := context.WithCancel(context.WithoutCancel(ctx))
	var living sync.WaitGroup
	living.Go(func() { v.consumer.KeepAlive(alive) })

	var verifying, committing, finishing sync.WaitGroup
	for range v.cfg.Concurrency {
		verifying.Go(func() { v.verifyJobs(work) })
	}
	for range committers {
		committing.Go(func() { v.commitJobs(work) })
	}
	finishing.Go(func() { v.finishJobs(work) })

	v.read(ctx)

	drain := time.AfterFunc(v.cfg.DrainTimeout, abandon)
	defer drain.Stop()
	close(v.jobs)
	verifying.Wait()
	close(v.verified)
	committing.Wait()
	v.suspects.Wait()
	close(v.committed)
	finishing.Wait()
	die()
	living.Wait()
	return v.handBack()
}

// read reads jobs from the queue until ctx ends. It never reads more jobs than
// inflight has room for.
func (v *Verifier) read(ctx context.Context) {
	claimTicker := time.NewTicker(claimEvery)
	defer claimTicker.Stop()
	claim := true // claim jobs at the start, because an earlier worker may have died
	for {
		room := v.inflight.waitForRoom(ctx)
		if room == 0 {
			return
		}
		select {
		case <-claimTicker.C:
			claim = true
		default:
		}
		var (
			deliveries []queue.Delivery
			err        error
		)
		if claim {
			deliveries, err = v.consumer.Reclaim(ctx, room)
			claim = false
		}
		if err == nil && len(deliveries) == 0 {
			deliveries, err = v.consumer.Read(ctx, room)
		}
		v.inflight.add(deliveries)
		for _, jobs := range v.lookupBatches(deliveries) {
			v.jobs <- jobs // does not block: it has room for every job in flight
		}
		if err != nil && ctx.Err() == nil {
			v.log.Warn("cannot read jobs", "error", err)
			pause(ctx, time.Second)
		}
	}
}

// lookupBatches splits jobs into batches. The contracts of a batch are read
// together. The jobs are divided about equally among the goroutines that verify. A
// batch has at most lookupProofs proofs, unless a single job has more.
func (v *Verifier) lookupBatches(deliveries []queue.Delivery) (batches [][]queue.Delivery) {
	proofs := 0
	for _, d := range deliveries {
		proofs += weight(d)
	}
	share := min(lookupProofs, (proofs+v.cfg.Concurrency-1)/v.cfg.Concurrency)
	for len(deliveries) > 0 {
		n, sum := 1, weight(deliveries[0])
		for n < len(deliveries) && sum+weight(deliveries[n]) <= share {
			sum += weight(deliveries[n])
			n++
		}
		batches = append(batches, deliveries[:n])
		deliveries = deliveries[n:]
	}
	return batches
}

// handBack returns unfinished jobs to the queue, so that another worker takes these
// jobs at its next look for jobs to take over.
func (v *Verifier) handBack() error {
	ctx, cancel := context.WithTimeout(context.Background(), handBackTimeout)
	defer cancel()
	rest := v.inflight.rest()
	if len(rest) > 0 {
		v.log.Info("handing back unfinished jobs", "jobs", len(rest))
	}
	return errors.Join(v.consumer.HandBack(ctx, rest...), v.consumer.Close(ctx))
}

type verifierMetrics struct {
	verdicts    *prometheus.CounterVec
	unjudged    *prometheus.CounterVec
	late        prometheus.Counter
	deadLetters prometheus.Counter

	// The duration of each stage of a job, in seconds.
	wait, verify, commit, reply prometheus.Observer
}

func newVerifierMetrics(reg prometheus.Registerer) *verifierMetrics {
	metrics := promauto.With(reg)
	stages := metrics.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "downstream_worker_stage_seconds",
		Help:    "Time of each stage: wait (from the arrival of the proofs until a worker verifies them) and verify per job, commit and reply per batch of jobs.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 3, 12),
	}, []string{"stage"})
	m := &verifierMetrics{
		verdicts: metrics.NewCounterVec(prometheus.CounterOpts{
			Name: "downstream_worker_verdicts_total",
			Help: "Proofs judged, by outcome.",
		}, []string{"outcome"}),
		unjudged: metrics.NewCounterVec(prometheus.CounterOpts{
			Name: "downstream_worker_jobs_without_verdict_total",
			Help: "Jobs that ended without a verdict on every proof, by reason.",
		}, []string{"reason"}),
		late: metrics.NewCounter(prometheus.CounterOpts{
			Name: "downstream_worker_late_jobs_total",
			Help: "Jobs acknowledged without a verdict because their deadline had passed.",
		}),
		deadLetters: metrics.NewCounter(prometheus.CounterOpts{
			Name: "downstream_worker_dead_letters_total",
			Help: "Jobs moved to the dead letters because the worker cannot judge them.",
		}),
		wait:   stages.WithLabelValues("wait"),
		verify: stages.WithLabelValues("verify"),
		commit: stages.WithLabelValues("commit"),
		reply:  stages.WithLabelValues("reply"),
	}
	for _, reason := range reasons {
		m.unjudged.WithLabelValues(string(reason)) // so that an alert sees the first increase
	}
	return m
}

// The reasons why a worker ends a job without a verdict, in addition to those of
// package queue.
const (
	panicked  queue.Reason = "panic"     // the verification panicked
	refused   queue.Reason = "refused"   // the database refused the job's verdicts, and stored those of other jobs
	undecided queue.Reason = "undecided" // the worker could not read or verify a proof's contract, or had no time for it
)

var reasons = []queue.Reason{queue.Late, queue.Malformed, queue.Deliveries, panicked, refused, undecided}

// countUnjudged counts jobs that end without a verdict.
func (m *verifierMetrics) countUnjudged(reason queue.Reason, jobs int) {
	m.unjudged.WithLabelValues(string(reason)).Add(float64(jobs))
	switch reason {
	case undecided:
	case queue.Late:
		m.late.Add(float64(jobs))
	default:
		m.deadLetters.Add(float64(jobs))
	}
}
