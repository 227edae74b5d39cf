package node

import (
	"sync"
	"time"
)

// ProofLog counts the proofs that arrived at this process in the last ProofWindow. A ProofLog
// is safe for concurrent use.
type ProofLog struct {
	mu      sync.Mutex
	seconds [int(maxProofWindow/time.Second) + 1]struct{ second, decided, undecided int64 }
	since   time.Time      // since when most proofs fail
	back    map[int64]bool // see Back
}

// Count adds proofs that were decided, or that the node could not decide.
func (l *ProofLog) Count(now time.Time, decided, undecided int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.seconds[now.Unix()%int64(len(l.seconds))]
	if s.second != now.Unix() {
		*s = struct{ second, decided, undecided int64 }{second: now.Unix()}
	}
	s.decided += int64(decided)
	s.undecided += int64(undecided)
}

// Counts returns the counts of the last window.
func (l *ProofLog) Counts(now time.Time, window time.Duration) ProofCounts {
	l.mu.Lock()
	defer l.mu.Unlock()
	var c ProofCounts
	first, last := now.Unix(), int64(0)
	for _, s := range l.seconds {
		if s.second <= now.Unix()-max(1, int64(window/time.Second)) || s.second > now.Unix() {
			continue
		}
		c.Decided += s.decided
		c.Undecided += s.undecided
		if s.undecided > 0 {
			first, last = min(first, s.second), max(last, s.second)
		}
	}
	if !c.failing() {
		l.since = time.Time{}
		return c
	}
	if l.since.IsZero() {
		l.since = time.Unix(first, 0).UTC()
	}
	c.FailingSince, c.FailingUntil = l.since, time.Unix(last, 0).UTC()
	return c
}

// maxBack limits the farmers that a ProofLog remembers.
const maxBack = 10_000

// Returned notes that a token's farmer asks for a contract whose deadline has passed but
// may still move.
func (l *ProofLog) Returned(tokenID int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.back == nil {
		l.back = make(map[int64]bool)
	}
	if len(l.back) < maxBack {
		l.back[tokenID] = true
	}
}

// Back returns the tokens that Returned noted since the last call.
func (l *ProofLog) Back() []int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := make([]int64, 0, len(l.back))
	for id := range l.back {
		ids = append(ids, id)
	}
	clear(l.back)
	return ids
}
