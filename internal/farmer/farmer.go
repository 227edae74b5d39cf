package farmer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Config configures a Farmer. Client, Address and Dir are required.
type Config struct {
	Client  *Client
	Address string     // the SJCX address for a new token; used only if Dir holds no token
	Own     *Ownership // proves that the farmer owns Address; may be nil
	Dir     string     // only this farmer may use it
	Size    int64      // maximum number of bytes to hold

	// Retry is the wait after a failed request if the response has no Retry-After.
	// After more failures the farmer waits up to four times as long. 0 means 3 s.
	Retry time.Duration
	// TakeEvery is the wait after the node had no contract to hand out. 0 means 30
	// s.
	TakeEvery time.Duration
	// Patience is how long a farmer without a token retries if the node does not
	// respond. 0 means 15 s. A farmer with a token retries until its context ends.
	Patience time.Duration
	// NoSync skips fsync. Writes are then faster. They are not lost if the process
	// ends, but they can be lost if the machine crashes.
	NoSync bool

	// Logger may be nil. The farmer never logs a token.
	Logger *slog.Logger
	// If OnHeartbeat is set, the farmer calls it with each verdict and waits until
	// it returns.
	OnHeartbeat func(Verdict)
}

// Run returns ErrTokenUnknown if the node does not know the farmer's token or has
// deleted it.
var ErrTokenUnknown = errors.New("the node does not know this farmer's token")

// Farmer holds contracts for one token and proves them.
type Farmer struct {
	cfg    Config
	client *Client
	disk   *disk
	log    *slog.Logger

	failures int // failures since the last success; only join and the loop use it

	mu       sync.Mutex
	snapshot Snapshot
}

// New makes a farmer. If the farmer's directory already holds a token and
// contracts, Run continues with them.
func New(cfg Config) (*Farmer, error) {
	switch {
	case cfg.Client == nil:
		return nil, errors.New("farmer: no client")
	case cfg.Address == "":
		return nil, errors.New("farmer: no SJCX address; set Config.Address")
	case cfg.Dir == "":
		return nil, errors.New("farmer: no directory")
	case cfg.Size < 0:
		return nil, fmt.Errorf("farmer: the size is %d bytes; it must not be negative", cfg.Size)
	}
	cfg.Retry = cmp.Or(cfg.Retry, 3*time.Second)
	cfg.TakeEvery = cmp.Or(cfg.TakeEvery, 30*time.Second)
	cfg.Patience = cmp.Or(cfg.Patience, 15*time.Second)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))

	disk, err := openDisk(cfg.Dir, !cfg.NoSync)
	if err != nil {
		return nil, err
	}
	return &Farmer{cfg: cfg, client: cfg.Client, disk: disk, log: cfg.Logger}, nil
}

// Run runs the farmer until ctx ends, and then returns nil. It returns an error
// only if a retry cannot help. When Run returns, its goroutines have ended and all
// contracts are on the disk. Run may be called again, but not concurrently.
func (f *Farmer) Run(ctx context.Context) error {
	session, err := f.join(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	loop, err := newLoop(f, session)
	if err != nil {
		return err
	}
	return loop.run(ctx)
}

// maxRetryAfter limits the wait that a node can ask for. The farmer's contracts
// would expire during a longer wait, so a longer wait is probably a mistake.
const maxRetryAfter = time.Minute

// maxBackoff limits how often the wait after a failure doubles.
const maxBackoff = 2

// failed counts a failure and returns how long to wait before the next attempt. The
// wait is random, so that farmers do not all come back at the same time after an outage.
func (f *Farmer) failed(err error) (wait time.Duration) {
	wait = jitter(f.cfg.Retry << min(f.failures, maxBackoff))
	if response, ok := errors.AsType[*Error](err); ok && response.RetryAfter > 0 {
		asked := min(response.RetryAfter, maxRetryAfter)
		wait = asked + rand.N(asked/4+1)
	}
	f.failures++
	f.update(func(s *Snapshot) {
		s.setError(err)
		s.RetryAt = time.Now().Add(wait)
	})
	return wait
}

// succeeded ends the wait for the node.
func (f *Farmer) succeeded() {
	if f.failures > 0 {
		f.failures = 0
		f.update(func(s *Snapshot) { s.RetryAt = time.Time{} })
	}
}

// jitter returns a random time between half of wait and wait.
func jitter(wait time.Duration) time.Duration { return wait/2 + rand.N(wait/2+1) }

// Group is a set of farmers in one process. Each farmer has its own token.
type Group []*Farmer

// groupPrefix begins the names of the directories of a group's farmers.
const groupPrefix = "farmer-"

// NewGroup makes number farmers that differ only in their directories. The
// directories are farmer-1, farmer-2 and so on, inside cfg.Dir.
func NewGroup(cfg Config, number int) (Group, error) {
	if number < 1 {
		return nil, fmt.Errorf("farmer: the number of farmers is %d; it must be at least 1", number)
	}
	group := make(Group, number)
	for i := range group {
		one := cfg
		one.Dir = filepath.Join(cfg.Dir, fmt.Sprint(groupPrefix, i+1))
		var err error
		if group[i], err = New(one); err != nil {
			return nil, err
		}
	}
	return group, nil
}

// Run runs all farmers until ctx ends or one of them fails, and returns the
// first error.
func (g Group) Run(ctx context.Context) error {
	running, ctx := errgroup.WithContext(ctx)
	for _, f := range g {
		running.Go(func() error { return f.Run(ctx) })
	}
	return running.Wait()
}

// Snapshot returns the sum of the snapshots of all farmers.
func (g Group) Snapshot() Snapshot {
	var sum Snapshot
	for _, f := range g {
		sum = sum.Plus(f.Snapshot())
	}
	return sum
}

// Snapshot is the state of a farmer. All counts are 0 when the process starts.
type Snapshot struct {
	FarmerID string // empty for a group
	// Joined is the number of farmers that have joined the node. For a single
	// farmer it is 1, or 0 before Run has joined.
	Joined int
	// Contracts and Bytes are the number and the total size of the contracts that
	// the farmer holds.
	Contracts int
	Bytes     int64
	// Heartbeats counts the proofs that the node accepted. Rejected counts the
	// proofs that the node rejected.
	Heartbeats, Rejected int64
	// Retries counts the failed requests that the farmer has to repeat.
	Retries int64
	// Early counts requests for a challenge that arrived before the challenge was
	// issued.
	Early int64
	// Taken counts contracts that the farmer took. Refused counts contracts whose
	// content does not match their hash. Dropped counts contracts that ended for
	// any reason.
	Taken, Refused, Dropped int64
	// Lost counts contracts that ended before they were completed. LostWhy is the reason
	// of the last one.
	Lost    int64
	LostWhy string
	// NextDue is the earliest due of all contracts, and LastDue the latest. They are zero
	// if there are no contracts.
	NextDue, LastDue time.Time
	// RetryAt is when the farmer tries again what has failed. It is zero if the last
	// attempt succeeded.
	RetryAt time.Time
	// LastError is the latest failure. LastErrorAt is the time of that failure.
	LastError   string
	LastErrorAt time.Time
}

// Plus returns the sum of s and o.
func (s Snapshot) Plus(o Snapshot) Snapshot {
	s.FarmerID = ""
	s.Joined += o.Joined
	s.Contracts += o.Contracts
	s.Bytes += o.Bytes
	s.Heartbeats += o.Heartbeats
	s.Rejected += o.Rejected
	s.Retries += o.Retries
	s.Early += o.Early
	s.Taken += o.Taken
	s.Refused += o.Refused
	s.Dropped += o.Dropped
	s.Lost += o.Lost
	s.LostWhy = cmp.Or(o.LostWhy, s.LostWhy)
	s.NextDue, s.RetryAt = earliest(s.NextDue, o.NextDue), earliest(s.RetryAt, o.RetryAt)
	s.LastDue = later(s.LastDue, o.LastDue)
	if o.LastErrorAt.After(s.LastErrorAt) {
		s.LastError, s.LastErrorAt = o.LastError, o.LastErrorAt
	}
	return s
}

// earliest returns the earlier time. A zero time does not count.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func (s *Snapshot) setError(err error) { s.LastError, s.LastErrorAt = err.Error(), time.Now() }

// Snapshot returns the farmer's current state. It is safe for concurrent use.
func (f *Farmer) Snapshot() Snapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.snapshot
}

// update calls change with the snapshot, under the lock.
func (f *Farmer) update(change func(*Snapshot)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.snapshot)
}
