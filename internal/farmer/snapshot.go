package farmer

import (
	"sync"
	"time"
)

// Snapshot is where a farmer stands. The counts are since its process began.
type Snapshot struct {
	FarmerID string // empty for several farmers together
	// Joined is how many farmers the node knows: 1, or 0 before that.
	Joined int
	// Contracts and Bytes are what the farmer holds.
	Contracts int
	Bytes     int64
	// Heartbeats are the proofs that the node accepted, Rejected those that
	// it answered with an error.
	Heartbeats, Rejected int64
	// Retries are the requests that failed and were to be made again.
	Retries int64
	// Early is how often a challenge was asked for before it was there.
	Early int64
	// Taken counts contracts taken, Refused those that were not what they
	// claimed to be, Dropped those that came to an end, for any reason.
	Taken, Refused, Dropped int64
	// NextDue is when the first of the contracts is due; zero without any.
	NextDue time.Time
	// LastError is the latest failure, LastErrorAt its time.
	LastError   string
	LastErrorAt time.Time
}

// Plus is both farmers together.
func (s Snapshot) Plus(o Snapshot) Snapshot {
	sum := Snapshot{
		Joined:     s.Joined + o.Joined,
		Contracts:  s.Contracts + o.Contracts,
		Bytes:      s.Bytes + o.Bytes,
		Heartbeats: s.Heartbeats + o.Heartbeats,
		Rejected:   s.Rejected + o.Rejected,
		Retries:    s.Retries + o.Retries,
		Early:      s.Early + o.Early,
		Taken:      s.Taken + o.Taken,
		Refused:    s.Refused + o.Refused,
		Dropped:    s.Dropped + o.Dropped,
		NextDue:    s.NextDue,
		LastError:  s.LastError, LastErrorAt: s.LastErrorAt,
	}
	if s.NextDue.IsZero() || (!o.NextDue.IsZero() && o.NextDue.Before(s.NextDue)) {
		sum.NextDue = o.NextDue
	}
	if o.LastErrorAt.After(s.LastErrorAt) {
		sum.LastError, sum.LastErrorAt = o.LastError, o.LastErrorAt
	}
	return sum
}

// tally is a Snapshot in the making.
type tally struct {
	mu  sync.Mutex
	now Snapshot
}

func (t *tally) count(change func(*Snapshot)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.now)
}

func (t *tally) failure(err error) {
	t.count(func(s *Snapshot) { s.LastError, s.LastErrorAt = err.Error(), time.Now() })
}

func (t *tally) snapshot() Snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now
}
