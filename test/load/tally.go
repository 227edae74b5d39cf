package load

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/driveshare/downstream-node/internal/farmer"
)

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
