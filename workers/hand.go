package workers

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/driveshare/downstream-node/internal/queue"
)

// hand is the jobs that a worker has taken and not let go of: those that wait
// to be verified, those under way, and those whose commit is awaited. The
// proofs of the first two are bounded, so that a worker does not sit on what
// another could verify; a commit is waited for by as many jobs as come, up to
// the bound of all, so that a slow disk gets larger commits.
type hand struct {
	maxProofs, maxJobs int
	verifiers          int // that share the proofs

	mu     sync.Mutex
	jobs   map[string]queue.Delivery // by entry id
	proofs int                       // not verified
	perJob int                       // proofs of a job, as of the last that were taken
	pace   time.Duration             // that a proof takes to verify, as of late; 0 where none has been
	freed  chan struct{}             // has one where room was made since the last look
}

// handTime is how long a verifier may need for what waits for it: heavy proofs
// are left for other workers to take.
const handTime = 50 * time.Millisecond

func newHand(verifiers, maxProofs, maxJobs, perJob int) *hand {
	return &hand{
		verifiers: verifiers,
		maxProofs: maxProofs,
		maxJobs:   maxJobs,
		jobs:      make(map[string]queue.Delivery),
		perJob:    perJob,
		freed:     make(chan struct{}, 1),
	}
}

// room waits until there is room, and says for how many jobs, if they are like
// the last ones. It is 0 where ctx ended.
func (h *hand) room(ctx context.Context) int {
	for ctx.Err() == nil {
		if n := h.free(); n > 0 {
			return n
		}
		select {
		case <-h.freed:
		case <-ctx.Done():
		}
	}
	return 0
}

func (h *hand) free() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	limit := h.limit()
	if h.proofs >= limit {
		return 0
	}
	return min(max(1, (limit-h.proofs)/h.perJob), h.maxJobs-len(h.jobs))
}

// limit is the proofs that may wait. The caller holds the lock.
func (h *hand) limit() int {
	if h.pace == 0 {
		return h.maxProofs
	}
	return min(h.maxProofs, max(1, h.verifiers*int(handTime/h.pace)))
}

// learn takes in how long it took to verify a job.
func (h *hand) learn(d queue.Delivery, took time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	pace := max(1, took/time.Duration(weight(d)))
	if h.pace > 0 {
		pace = max(1, (7*h.pace+pace)/8)
	}
	h.pace = pace
}

// take puts jobs in hand. They may be more than there was room for, where they
// have more proofs than the last ones.
func (h *hand) take(deliveries []queue.Delivery) {
	if len(deliveries) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	taken := 0
	for _, d := range deliveries {
		h.jobs[d.EntryID] = d
		taken += weight(d)
	}
	h.proofs += taken
	h.perJob = (taken + len(deliveries) - 1) / len(deliveries)
}

// verified makes room for the proofs of others.
func (h *hand) verified(d queue.Delivery) {
	h.mu.Lock()
	h.proofs -= weight(d)
	h.mu.Unlock()
	h.wake()
}

// verifying says whether there are jobs in hand that are not verified.
func (h *hand) verifying() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.proofs > 0
}

// letGo forgets jobs that were verified and acknowledged.
func (h *hand) letGo(deliveries ...queue.Delivery) {
	h.mu.Lock()
	for _, d := range deliveries {
		delete(h.jobs, d.EntryID)
	}
	h.mu.Unlock()
	h.wake()
}

func (h *hand) wake() {
	select {
	case h.freed <- struct{}{}:
	default:
	}
}

// rest is what is still in hand.
func (h *hand) rest() []queue.Delivery {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Values(h.jobs))
}

// weight is a job's share of the hand.
func weight(d queue.Delivery) int { return max(1, len(d.Job.Proofs)) }
