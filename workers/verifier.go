package workers

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/queue"
	"github.com/driveshare/downstream-node/internal/redisdb"
	"github.com/driveshare/downstream-node/internal/store"
)

// VerifierOptions bound what a verifier does at once. Every field must be set.
type VerifierOptions struct {
	Name          string // of the consumer: the pod's name
	Concurrency   int    // proofs verified at once
	CommitBatch   int    // verdicts in one transaction
	CommitDelay   time.Duration
	JobHardLimit  time.Duration
	ClaimIdle     time.Duration
	MaxDeliveries int
	DrainTimeout  time.Duration
	WrongAnswers  int
}

const (
	// proofsPerCPU, for each verifying goroutine, are being verified or read,
	// and jobsPerCPU in hand at once: see hand.
	proofsPerCPU = 400
	jobsPerCPU   = 128
	// usualJob is the proofs of a job, as long as none was seen.
	usualJob = 100
	// handful is the most proofs that are looked up together.
	handful = 100
)

// Verifier judges the answers that come through the queue.
type Verifier struct {
	opt      VerifierOptions
	store    *store.Store
	redis    *redisdb.DB
	queue    *queue.Queue
	keys     *keyring.Ring
	log      *slog.Logger
	metrics  *verifierMetrics
	consumer *queue.Consumer
	now      func() time.Time

	hand      *hand
	jobs      chan []queue.Delivery
	judged    chan ballot
	gathering sync.Mutex    // of ballots into a transaction
	turn      chan struct{} // holds one while few verdicts are committed
	committed chan committed
}

// NewVerifier makes a verifier that reads jobs once it runs.
func NewVerifier(deps Deps, opt VerifierOptions) *Verifier {
	jobs := jobsPerCPU * opt.Concurrency
	return &Verifier{
		opt:     opt,
		store:   deps.Store,
		redis:   deps.Redis,
		queue:   deps.Queue,
		keys:    deps.Keys,
		log:     deps.Log,
		metrics: newVerifierMetrics(deps.Registry),
		consumer: deps.Queue.NewConsumer(opt.Name, queue.ConsumerOptions{
			MinIdle:       opt.ClaimIdle,
			MaxDeliveries: int64(opt.MaxDeliveries),
		}),
		now:       deps.clock(),
		hand:      newHand(opt.Concurrency, proofsPerCPU*opt.Concurrency, jobs, usualJob),
		jobs:      make(chan []queue.Delivery, jobs),
		judged:    make(chan ballot, jobs),
		turn:      make(chan struct{}, 1),
		committed: make(chan committed, committers),
	}
}

// Run judges until ctx ends, and then finishes what is in hand, for
// DrainTimeout at most.
func (v *Verifier) Run(ctx context.Context) error {
	// The work in hand outlives ctx: it is what a shutdown waits for.
	work, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()

	var verifying, committing, telling sync.WaitGroup
	for range v.opt.Concurrency {
		verifying.Go(func() { v.verifyJobs(work) })
	}
	for range committers {
		committing.Go(func() { v.commitBallots(work) })
	}
	telling.Go(func() { v.tellCommitted(work) })

	v.read(ctx)

	drained := time.AfterFunc(v.opt.DrainTimeout, abandon)
	defer drained.Stop()
	close(v.jobs)
	verifying.Wait()
	close(v.judged)
	committing.Wait()
	close(v.committed)
	telling.Wait()
	return v.handBack()
}

// read takes jobs from the queue, as many as there is room for, until ctx ends.
func (v *Verifier) read(ctx context.Context) {
	claimEvery := v.opt.ClaimIdle / 2
	claimed := time.Now().Add(-claimEvery) // look at once: a predecessor may have died
	for ctx.Err() == nil {
		room := v.hand.room(ctx)
		if room == 0 {
			return
		}
		var (
			deliveries []queue.Delivery
			err        error
		)
		if time.Since(claimed) >= claimEvery {
			deliveries, err = v.consumer.Reclaim(ctx, room)
			claimed = time.Now()
		}
		if err == nil && len(deliveries) == 0 {
			deliveries, err = v.consumer.Read(ctx, room)
		}
		v.hand.take(deliveries)
		for _, jobs := range v.handfuls(deliveries) {
			v.jobs <- jobs // has room: there are as many places as jobs in hand
		}
		if err != nil && ctx.Err() == nil {
			v.log.Warn("cannot read jobs", "error", err)
			pause(ctx, time.Second)
		}
	}
}

// handfuls parts jobs into what is looked up together: equal shares for those
// who verify, as far as jobs can be parted, but not too much at once.
func (v *Verifier) handfuls(deliveries []queue.Delivery) (parts [][]queue.Delivery) {
	proofs := 0
	for _, d := range deliveries {
		proofs += weight(d)
	}
	share := min(handful, (proofs+v.opt.Concurrency-1)/v.opt.Concurrency)
	for len(deliveries) > 0 {
		n, held := 1, weight(deliveries[0])
		for n < len(deliveries) && held+weight(deliveries[n]) <= share {
			held += weight(deliveries[n])
			n++
		}
		parts = append(parts, deliveries[:n])
		deliveries = deliveries[n:]
	}
	return parts
}

// handBackTimeout is for the last words to Redis on the way out.
const handBackTimeout = 2 * time.Second

// handBack gives the queue what could not be finished, so that another worker
// takes it at once and not only when it has been idle for long.
func (v *Verifier) handBack() error {
	ctx, cancel := context.WithTimeout(context.Background(), handBackTimeout)
	defer cancel()
	rest := v.hand.rest()
	if len(rest) > 0 {
		v.log.Info("handing jobs back", "jobs", len(rest))
	}
	return errors.Join(v.consumer.HandBack(ctx, rest...), v.consumer.Close(ctx))
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
