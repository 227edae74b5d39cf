package workers

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/driveshare/downstream-node/internal/queue"
)

// inflight holds the jobs that this worker has read but not acknowledged. It has
// two limits. The first limits the proofs that are not verified yet, so that a
// worker does not hold jobs that another worker could verify. The second limits all
// jobs, including the jobs that wait for a commit. If the disk is slow, commits
// therefore become larger.
type inflight struct {
	maxProofs, maxJobs int
	verifiers          int // number of goroutines that verify proofs

	mu       sync.Mutex
	jobs     map[string]queue.Delivery // key: entry id
	proofs   int                       // number of proofs that are not verified yet
	perJob   int                       // average number of proofs per job in the last read
	perProof time.Duration             // moving average of the time to verify a proof; 0 before the first measurement
	freed    chan struct{}             // holds a signal if there may be room
}

// maxWait limits how long a proof waits for this worker's verifiers. If verifying a
// proof takes long, the worker leaves further proofs to other workers.
const maxWait = 50 * time.Millisecond

func newInflight(verifiers, maxProofs, maxJobs, perJob int) *inflight {
	return &inflight{
		verifiers: verifiers,
		maxProofs: maxProofs,
		maxJobs:   maxJobs,
		jobs:      make(map[string]queue.Delivery),
		perJob:    perJob,
		freed:     make(chan struct{}, 1),
	}
}

// waitForRoom waits until there is room. It returns the number of jobs of average
// size for which there is room, or 0 if ctx ends.
func (f *inflight) waitForRoom(ctx context.Context) int {
	for ctx.Err() == nil {
		if n := f.room(); n > 0 {
			return n
		}
		select {
		case <-f.freed:
		case <-ctx.Done():
		}
	}
	return 0
}

func (f *inflight) room() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	limit := f.maxProofs
	if f.perProof > 0 {
		limit = min(limit, max(1, f.verifiers*int(maxWait/f.perProof)))
	}
	if f.proofs >= limit {
		return 0
	}
	return min(max(1, (limit-f.proofs)/f.perJob), f.maxJobs-len(f.jobs))
}

// measure adds the time in which a job was verified to the moving average.
func (f *inflight) measure(d queue.Delivery, took time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	perProof := max(1, took/time.Duration(weight(d)))
	if f.perProof > 0 {
		perProof = max(1, (7*f.perProof+perProof)/8)
	}
	f.perProof = perProof
}

// add adds jobs that were read. If they have more proofs than earlier jobs, they
// may exceed the room.
func (f *inflight) add(deliveries []queue.Delivery) {
	if len(deliveries) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	proofs := 0
	for _, d := range deliveries {
		f.jobs[d.EntryID] = d
		proofs += weight(d)
	}
	f.proofs += proofs
	f.perJob = (proofs + len(deliveries) - 1) / len(deliveries)
}

// verified records that a job was verified. This makes room for the proofs of other
// jobs.
func (f *inflight) verified(d queue.Delivery) {
	f.mu.Lock()
	f.proofs -= weight(d)
	f.mu.Unlock()
	f.signal()
}

// verifying reports whether some jobs are not verified yet.
func (f *inflight) verifying() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.proofs > 0
}

// release removes verified jobs that were acknowledged.
func (f *inflight) release(deliveries ...queue.Delivery) {
	f.mu.Lock()
	for _, d := range deliveries {
		delete(f.jobs, d.EntryID)
	}
	f.mu.Unlock()
	f.signal()
}

func (f *inflight) signal() {
	select {
	case f.freed <- struct{}{}:
	default:
	}
}

// rest returns the jobs that are still in flight.
func (f *inflight) rest() []queue.Delivery {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Values(f.jobs))
}

// weight returns the number of proofs in a job. A job without proofs counts as one
// proof.
func weight(d queue.Delivery) int { return max(1, len(d.Job.Proofs)) }
