package workers

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/queue"
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
	// slotsPerCPU jobs for each verifying goroutine are in hand at once: one
	// being verified, the others read or waiting for their commit.
	slotsPerCPU = 4
	// committers let one transaction gather while another waits for the disk.
	committers = 2
)

// Verifier judges the answers that come through the queue.
type Verifier struct {
	opt      VerifierOptions
	store    *store.Store
	queue    *queue.Queue
	keys     *keyring.Ring
	log      *slog.Logger
	metrics  *verifierMetrics
	consumer *queue.Consumer
	now      func() time.Time

	slots  chan struct{}
	jobs   chan queue.Delivery
	judged chan ballot

	mu     sync.Mutex
	inHand map[string]queue.Delivery // by entry id, from read to acknowledged
}

// NewVerifier makes a verifier that reads jobs once it runs.
func NewVerifier(rooms Rooms, opt VerifierOptions) *Verifier {
	slots := slotsPerCPU * opt.Concurrency
	return &Verifier{
		opt:     opt,
		store:   rooms.Store,
		queue:   rooms.Queue,
		keys:    rooms.Keys,
		log:     rooms.Log,
		metrics: newVerifierMetrics(rooms.Registry),
		consumer: rooms.Queue.NewConsumer(opt.Name, queue.ConsumerOptions{
			MinIdle:       opt.ClaimIdle,
			MaxDeliveries: int64(opt.MaxDeliveries),
		}),
		now:    rooms.clock(),
		slots:  make(chan struct{}, slots),
		jobs:   make(chan queue.Delivery, slots),
		judged: make(chan ballot, slots),
		inHand: make(map[string]queue.Delivery),
	}
}

// Run judges until ctx ends, and then finishes what is in hand, for
// DrainTimeout at most.
func (v *Verifier) Run(ctx context.Context) error {
	// The work in hand outlives ctx: it is what a shutdown waits for.
	work, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()

	var verifying, committing sync.WaitGroup
	for range v.opt.Concurrency {
		verifying.Go(func() { v.verifyJobs(work) })
	}
	for range committers {
		committing.Go(func() { v.commitBallots(work) })
	}

	v.read(ctx)

	drained := time.AfterFunc(v.opt.DrainTimeout, abandon)
	defer drained.Stop()
	close(v.jobs)
	verifying.Wait()
	close(v.judged)
	committing.Wait()
	return v.handBack()
}

// read takes jobs from the queue into free slots until ctx ends.
func (v *Verifier) read(ctx context.Context) {
	claimEvery := v.opt.ClaimIdle / 2
	claimed := time.Now().Add(-claimEvery) // look at once: a predecessor may have died
	for ctx.Err() == nil {
		free := v.takeSlots(ctx)
		if free == 0 {
			return
		}
		var (
			deliveries []queue.Delivery
			err        error
		)
		if time.Since(claimed) >= claimEvery {
			deliveries, err = v.consumer.Reclaim(ctx, free)
			claimed = time.Now()
		}
		if err == nil && len(deliveries) == 0 {
			deliveries, err = v.consumer.Read(ctx, free)
		}
		v.freeSlots(free - len(deliveries))
		for _, d := range deliveries {
			v.take(d)
			v.jobs <- d // has room: there are as many places as slots
		}
		if err != nil && ctx.Err() == nil {
			v.log.Warn("cannot read jobs", "error", err)
			pause(ctx, time.Second)
		}
	}
}

// takeSlots waits for one free slot, and takes the others that are free too.
func (v *Verifier) takeSlots(ctx context.Context) int {
	select {
	case v.slots <- struct{}{}:
	case <-ctx.Done():
		return 0
	}
	n := 1
	for ; n < cap(v.slots); n++ {
		select {
		case v.slots <- struct{}{}:
		default:
			return n
		}
	}
	return n
}

func (v *Verifier) freeSlots(n int) {
	for range n {
		<-v.slots
	}
}

func (v *Verifier) take(d queue.Delivery) {
	v.mu.Lock()
	v.inHand[d.EntryID] = d
	v.mu.Unlock()
}

// letGo forgets a delivery that was acknowledged, and frees its slot.
func (v *Verifier) letGo(deliveries ...queue.Delivery) {
	v.mu.Lock()
	for _, d := range deliveries {
		delete(v.inHand, d.EntryID)
	}
	v.mu.Unlock()
	v.freeSlots(len(deliveries))
}

// handBackTimeout is for the last words to Redis on the way out.
const handBackTimeout = 2 * time.Second

// handBack gives the queue what could not be finished, so that another worker
// takes it at once and not only when it has been idle for long.
func (v *Verifier) handBack() error {
	ctx, cancel := context.WithTimeout(context.Background(), handBackTimeout)
	defer cancel()
	v.mu.Lock()
	rest := slices.Collect(maps.Values(v.inHand))
	v.mu.Unlock()
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
