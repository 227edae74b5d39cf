//go:build faults

package faults

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/farmer"
	"github.com/driveshare/downstream-node/test/ledger"
)

// loadOptions describe a load.
type loadOptions struct {
	// URLs are the API replicas. A farmer stays with one until a request to it
	// gets no response, and then uses the next.
	URLs []string
	// Farmers is the number of farmers, and Contracts the number that each holds,
	// of Size bytes.
	Farmers, Contracts int
	Size               int64
	// Batch is the most proofs in a request.
	Batch int
	// WrongEach makes farmers send a wrong proof first for one in so many
	// challenges. AgainEach makes them send the accepted proof once more. 0 means
	// never.
	WrongEach, AgainEach int
	// Timeout limits a request; 0 means that of farmer.ClientConfig.
	Timeout time.Duration

	Ledger *ledger.Ledger
}

// load is a group of farmers without disks. They keep their chunks' tags in
// memory, answer as fast as their challenges allow, retry sooner than real
// farmers, and note in a ledger what the node tells them.
//
// Sometimes they send a wrong proof first, or an accepted proof again. A response
// that the protocol does not allow is kept as strange, and fails the test.
type load struct {
	opt     loadOptions
	farmers []*client
	stop    context.CancelFunc
	ended   sync.WaitGroup

	mu    sync.Mutex
	count tally
}

// startLoad gets a token for each farmer and starts them. The load ends with the
// test.
func startLoad(t testing.TB, opt loadOptions) *load {
	t.Helper()
	l := &load{opt: opt}
	for i := range opt.Farmers {
		c, err := l.join(t.Context(), i)
		if err != nil {
			t.Fatalf("farmer %d of the load: %v", i, err)
		}
		l.farmers = append(l.farmers, c)
	}
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	for _, c := range l.farmers {
		l.ended.Go(func() { c.run(ctx) })
	}
	t.Cleanup(l.halt)
	return l
}

// await waits until the farmers have got that many more verdicts.
func (l *load) await(t testing.TB, verdicts int) {
	t.Helper()
	const patience = time.Minute
	goal := l.tally().Verdicts + verdicts
	for deadline := time.Now().Add(patience); l.tally().Verdicts < goal; {
		if time.Now().After(deadline) {
			t.Fatalf("no %d verdicts within %v: %v", verdicts, patience, l.tally())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// halt ends the load at once.
func (l *load) halt() {
	l.stop()
	l.ended.Wait()
	for _, c := range l.farmers {
		c.close()
	}
}

// settlePatience is how long the last proofs may take to get a verdict.
const settlePatience = time.Minute

// settle ends the load after every proof has its verdict, and fails the test for
// every strange response. After it no request is in flight.
func (l *load) settle(t testing.TB) tally {
	t.Helper()
	l.stop()
	l.ended.Wait()
	until := time.Now().Add(settlePatience)
	errs := make([]error, len(l.farmers))
	var settling sync.WaitGroup
	for i, c := range l.farmers {
		settling.Go(func() { errs[i] = c.settle(until) })
	}
	settling.Wait()
	l.halt()
	for i, err := range errs {
		if err != nil {
			t.Errorf("farmer %d of the load: %v", i, err)
		}
	}
	tally := l.tally()
	for _, strange := range tally.Strange {
		t.Error(strange)
	}
	return tally
}

// tally counts the results of a load's requests.
type tally struct {
	Requests    int
	Unavailable int // 503 with Retry-After
	Broken      int // no response
	Verdicts    int
	Expired     int      // contracts that expired because an outage took too long
	Strange     []string // what the protocol does not allow
}

func (t tally) String() string {
	return fmt.Sprintf("%d requests, of them %d answered 503 and %d cut off; %d verdicts, %d contracts expired",
		t.Requests, t.Unavailable, t.Broken, t.Verdicts, t.Expired)
}

func (l *load) tally() tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.count
	t.Strange = slices.Clone(t.Strange)
	return t
}

// maxStrange limits the strange responses that are kept.
const maxStrange = 20

func (l *load) strange(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.count.Strange) < maxStrange {
		l.count.Strange = append(l.count.Strange, fmt.Sprintf(format, args...))
	}
}

func (l *load) countVerdict() { l.mu.Lock(); l.count.Verdicts++; l.mu.Unlock() }
func (l *load) countExpired() { l.mu.Lock(); l.count.Expired++; l.mu.Unlock() }

// countRequest counts a request that ended with err.
func (l *load) countRequest(err error) {
	response, responded := errors.AsType[*farmer.Error](err)
	unavailable := responded && response.Status == http.StatusServiceUnavailable && response.RetryAfter > 0
	l.mu.Lock()
	l.count.Requests++
	switch {
	case unavailable:
		l.count.Unavailable++
	case err != nil && !responded:
		l.count.Broken++
	}
	l.mu.Unlock()
	if responded && !unavailable {
		l.strange("%v", err)
	}
}
