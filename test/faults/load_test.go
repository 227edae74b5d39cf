//go:build faults || clusters

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
	// URLs are the URLs of the API replicas. A farmer uses one replica until a
	// request gets no response. Then it uses the next replica.
	URLs []string
	// Farmers is the number of farmers. Contracts is the number of contracts that
	// each farmer holds. Size is the number of bytes in each contract.
	Farmers, Contracts int
	Size               int64
	// Batch is the maximum number of proofs in a request.
	Batch int
	// If WrongEach is n, farmers first send a wrong proof for one of every n
	// challenges. If AgainEach is n, they send the accepted proof once more for one
	// of every n challenges. 0 means never.
	WrongEach, AgainEach int
	// Timeout limits a request; 0 means the default of farmer.ClientConfig.
	Timeout time.Duration

	Ledger *ledger.Ledger
}

// load is a group of farmers without disks. They keep the tags of their chunks in
// memory, send proofs as soon as their challenges allow, and retry sooner than real
// farmers. They record the node's responses in a ledger.
//
// Sometimes they send a wrong proof first, or send an accepted proof again. A
// response that the protocol does not allow is recorded as strange, and fails the
// test.
type load struct {
	opt     loadOptions
	farmers []*client
	stop    context.CancelFunc
	ended   sync.WaitGroup

	mu    sync.Mutex
	count tally
}

// newLoad gets a token for each farmer. It does not start the farmers.
func newLoad(t testing.TB, opt loadOptions) *load {
	t.Helper()
	l := &load{opt: opt, stop: func() {}}
	for i := range opt.Farmers {
		c, err := l.join(t.Context(), i)
		if err != nil {
			t.Fatalf("farmer %d of the load: %v", i, err)
		}
		l.farmers = append(l.farmers, c)
	}
	t.Cleanup(l.halt)
	return l
}

// startLoad gets a token for each farmer and starts the farmers. The load ends when
// the test ends.
func startLoad(t testing.TB, opt loadOptions) *load {
	t.Helper()
	l := newLoad(t, opt)
	l.resume()
	return l
}

// resume starts the farmers.
func (l *load) resume() {
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	for _, c := range l.farmers {
		l.ended.Go(func() { c.run(ctx) })
	}
}

// pause stops the farmers after every proof has its verdict. resume continues.
func (l *load) pause(t testing.TB) {
	t.Helper()
	l.stop()
	l.ended.Wait()
	until := time.Now().Add(settlePatience)
	for i, c := range l.farmers {
		if err := c.settle(until); err != nil {
			t.Fatalf("farmer %d of the load: %v", i, err)
		}
	}
}

// await waits until the farmers have received that number of additional verdicts.
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

// halt ends the load immediately.
func (l *load) halt() {
	l.stop()
	l.ended.Wait()
	for _, c := range l.farmers {
		c.close()
	}
}

// settlePatience is how long it may take until the last proofs have a verdict.
const settlePatience = time.Minute

// settle ends the load after every proof has its verdict. It fails the test for
// every strange response. When settle returns, no request is in flight.
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
	Expired     int      // number of contracts that expired because an outage took too long
	Strange     []string // responses that the protocol does not allow
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

// maxStrange is the maximum number of strange responses that are recorded.
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
