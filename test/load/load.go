package load

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

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
