package farmer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"
)

// Config is what a Farmer is made from. Client, Address and Dir must be set.
type Config struct {
	Client  *Client
	Address string     // SJCX, to get a token for where Dir holds none yet
	Own     *Ownership // proves that the address is the farmer's, may be nil
	Dir     string     // of this farmer alone
	Size    int64      // bytes to hold

	// Retry is the wait after a failed request, where the node names none;
	// 0 means 3 s, as in the field.
	Retry time.Duration
	// TakeEvery is the wait after the node had no contract to give; 0 means
	// 30 s.
	TakeEvery time.Duration
	// Patience is how long a farmer without a token tries to get one from a
	// node that does not answer; 0 means 15 s. One that has a token tries
	// until it is ended.
	Patience time.Duration
	// Batch is the proofs sent together at most; 0 means 100.
	Batch int
	// Requests is the requests under way at once, Provers the proofs and file
	// writes; 0 means 4, and the number of processors.
	Requests, Provers int
	// NoSync leaves it to the system when what is written reaches the disk:
	// faster, and contracts outlive the process but maybe not the machine.
	NoSync bool

	// Logger may be nil. No token is ever logged.
	Logger *slog.Logger
	// OnHeartbeat, where set, is called with each verdict. It must return
	// soon, for the farmer waits.
	OnHeartbeat func(Verdict)
}

// ErrTokenUnknown is returned by Run where the node does not know the
// farmer's token (any longer).
var ErrTokenUnknown = errors.New("the node does not know this farmer's token")

// Farmer holds contracts for one token and proves them.
type Farmer struct {
	cfg    Config
	client *Client
	shelf  *shelf
	log    *slog.Logger
	tally  tally
}

// New makes a farmer. Where its directory holds a token and contracts, Run
// goes on with them.
func New(cfg Config) (*Farmer, error) {
	switch {
	case cfg.Client == nil:
		return nil, errors.New("farmer: no client")
	case cfg.Address == "":
		return nil, errors.New("farmer: no address")
	case cfg.Dir == "":
		return nil, errors.New("farmer: no directory")
	case cfg.Size < 0:
		return nil, fmt.Errorf("farmer: a size of %d bytes", cfg.Size)
	}
	cfg.Retry = cmp.Or(cfg.Retry, 3*time.Second)
	cfg.TakeEvery = cmp.Or(cfg.TakeEvery, 30*time.Second)
	cfg.Patience = cmp.Or(cfg.Patience, 15*time.Second)
	cfg.Batch = cmp.Or(cfg.Batch, 100)
	cfg.Requests = cmp.Or(cfg.Requests, 4)
	cfg.Provers = cmp.Or(cfg.Provers, runtime.GOMAXPROCS(0))
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))

	shelf, err := openShelf(cfg.Dir, !cfg.NoSync)
	if err != nil {
		return nil, err
	}
	return &Farmer{cfg: cfg, client: cfg.Client, shelf: shelf, log: cfg.Logger}, nil
}

// Run farms until ctx ends, and then returns nil, with all that it started
// ended and all contracts on the disk. An error means that going on is of no
// use. It can be called again, though not twice at once.
func (f *Farmer) Run(ctx context.Context) error {
	member, err := f.join(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	keeper, err := newKeeper(f, member)
	if err != nil {
		return err
	}
	return keeper.keep(ctx)
}

// Snapshot says where the farmer stands. It can be called at any time.
func (f *Farmer) Snapshot() Snapshot { return f.tally.snapshot() }

// waitAfter is how long to wait after a request failed with err.
func (f *Farmer) waitAfter(err error) time.Duration {
	answer, ok := errors.AsType[*Error](err)
	if !ok || answer.RetryAfter == 0 {
		return f.cfg.Retry
	}
	return min(answer.RetryAfter, maxRetryAfter)
}

// maxRetryAfter is how long a node can put a farmer off. Its contracts run
// out meanwhile, so a longer wait would only be a mistake.
const maxRetryAfter = time.Minute
