// Package load is farmers without disks, for tests that put a node under load:
// they keep their chunks' tags in memory, answer as fast as their challenges
// allow, try again soon where a farmer in the field would wait, and note in a
// ledger whatever they are told.
//
// Now and then they answer wrong first, or post an accepted proof again. What
// they are told must still add up; an answer that the protocol does not allow
// there is kept as strange, and fails the test.
package load

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

// Options say what load to put on which node.
type Options struct {
	// URLs are the API replicas. A farmer stays with one until a request to it
	// is cut off, and then goes on to the next.
	URLs []string
	// Farmers is how many there are, Contracts how many each holds, of Size
	// bytes.
	Farmers, Contracts int
	Size               int64
	// Batch is the most proofs in a request.
	Batch int
	// WrongEach and AgainEach make one in so many challenges be answered wrong
	// first, or the accepted answer be posted once more; 0 is none.
	WrongEach, AgainEach int
	// Timeout bounds a request; 0 means that of farmer.ClientConfig.
	Timeout time.Duration

	Ledger *ledger.Ledger
}

// Load is a running load.
type Load struct {
	opt     Options
	counter counter
	farmers []*client
	stop    context.CancelFunc
	ended   sync.WaitGroup
}

// Start gets a token for each farmer and begins. The load ends with the test.
func Start(t testing.TB, opt Options) *Load {
	t.Helper()
	l := &Load{opt: opt}
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

// Tally is what became of the requests so far.
func (l *Load) Tally() Tally { return l.counter.get() }

// Await waits until the load has been told that many verdicts more.
func (l *Load) Await(t testing.TB, verdicts int) {
	t.Helper()
	const patience = time.Minute
	goal := l.Tally().Verdicts + verdicts
	for deadline := time.Now().Add(patience); l.Tally().Verdicts < goal; {
		if time.Now().After(deadline) {
			t.Fatalf("no %d verdicts within %v: %v", verdicts, patience, l.Tally())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// halt ends the load where it stands.
func (l *Load) halt() {
	l.stop()
	l.ended.Wait()
	for _, c := range l.farmers {
		c.close()
	}
}

// settlePatience is how long the last answers may take to be decided.
const settlePatience = time.Minute

// Settle ends the load, but not before every answer that was begun has its
// verdict, and fails the test for what was strange. After it nothing is under
// way.
func (l *Load) Settle(t testing.TB) Tally {
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
	tally := l.Tally()
	for _, strange := range tally.Strange {
		t.Error(strange)
	}
	return tally
}

// localAddress is a farmer's own: the node limits the tokens of each.
func localAddress(number int) string { return fmt.Sprintf("127.0.%d.%d", 1+number/200, 1+number%200) }

// Tally counts what became of a load's requests.
type Tally struct {
	Requests    int
	Unavailable int // answered 503 with Retry-After
	Broken      int // not answered at all
	Verdicts    int
	Expired     int // contracts that ended because an outage took too long
	// Strange is what the protocol does not allow.
	Strange []string
}

func (t Tally) String() string {
	return fmt.Sprintf("%d requests, of them %d answered 503 and %d cut off; %d verdicts, %d contracts expired",
		t.Requests, t.Unavailable, t.Broken, t.Verdicts, t.Expired)
}

// maxStrange is enough to see what is wrong.
const maxStrange = 20

// counter is a Tally in the making.
type counter struct {
	mu    sync.Mutex
	tally Tally
}

func (c *counter) get() Tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tally
	t.Strange = slices.Clone(t.Strange)
	return t
}

func (c *counter) strange(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.tally.Strange) < maxStrange {
		c.tally.Strange = append(c.tally.Strange, fmt.Sprintf(format, args...))
	}
}

func (c *counter) verdict() { c.mu.Lock(); c.tally.Verdicts++; c.mu.Unlock() }
func (c *counter) expired() { c.mu.Lock(); c.tally.Expired++; c.mu.Unlock() }

// request counts one that ended with err.
func (c *counter) request(err error) {
	c.mu.Lock()
	c.tally.Requests++
	answer, answered := errors.AsType[*farmer.Error](err)
	unavailable := answered && answer.Status == http.StatusServiceUnavailable && answer.RetryAfter > 0
	switch {
	case unavailable:
		c.tally.Unavailable++
	case err != nil && !answered:
		c.tally.Broken++
	}
	c.mu.Unlock()
	if answered && !unavailable {
		c.strange("%v", err)
	}
}
