//go:build faults

package faults

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/farmer"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/test/deployment"
	"github.com/driveshare/downstream-node/test/ledger"
)

// The farmers in the field keep a contract for one interval after its due time, and
// then delete the file. An outage that they survive must cost them nothing, and a
// longer one must not count against them. If a maintenance is announced in time, they
// survive it.
func TestOldClientsInOutage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		interval time.Duration
		lasts    time.Duration
		planned  bool // announced one interval ahead
		drops    bool // the clients give up before the node is back
	}{
		// With the time until the fault is over, it lasts almost one interval.
		{"up to one interval", 60 * time.Second, 35 * time.Second, false, false},
		{"three intervals", 20 * time.Second, 60 * time.Second, false, true},
		{"maintenance of ten intervals", 10 * time.Second, 100 * time.Second, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const farmers, contracts = 8, 4
			// The clients do not come back for the contracts that they dropped, which would
			// make the node seem unreachable.
			n := wholeWith(t, tt.interval, deployment.Settings{"contracts.unreachableHold": "0s"})
			var told ledger.Ledger
			l := newLoad(t, loadOptions{URLs: []string{n.url()}, Farmers: farmers, Contracts: contracts, Size: chunkSize, Timeout: 10 * time.Second, Ledger: &told})
			clients := startOldClients(t, l, tt.interval)
			clients.await(t, 2*contracts)
			uptime := clients.uptimes(n)

			if tt.planned {
				n.announce(t, tt.interval, tt.lasts)
				time.Sleep(node.MaintenanceNotice + tt.interval + time.Second)
			}
			kill(t, n)
			time.Sleep(tt.lasts)
			restart(t, n)
			within(t, "the fault is over", func() bool { return n.faultsEnded() > 0 })
			clients.await(t, 2*contracts)
			dropped, reasons := clients.dropped()
			within(t, fmt.Sprintf("the %d contracts that the clients dropped are void %v", dropped, reasons), func() bool { return n.void() == dropped })
			change := 0.0
			for id, after := range clients.uptimes(n) {
				change = min(change, after-uptime[id])
			}
			expired := n.summary().Expired
			fmt.Printf("clients of 2015, everything killed for %v with intervals of %v, announced %t: contracts dropped %d of %d %v, void %d, expired %d, uptime change %.2f\n",
				tt.lasts, tt.interval, tt.planned, dropped, farmers*contracts, reasons, n.void(), expired, change)
			if expired > 0 || change < 0 {
				t.Error("the outage cost a farmer something")
			}
			if tt.drops != (dropped > 0) {
				t.Errorf("the clients dropped %d contracts", dropped)
			}
			if strange := l.tally().Strange; len(strange) > 0 {
				t.Error(strange)
			}
		})
	}
}

// announce plans a maintenance.
func (n *fallible) announce(t *testing.T, in, lasts time.Duration) {
	t.Helper()
	n.servers.Run(t, nil, "maintenance", "add", "--in", in.String(), "--for", lasts.String())
}

type oldClients []*oldClient

// startOldClients starts a client for each farmer of a load. Their due times are
// spread over an interval.
func startOldClients(t *testing.T, l *load, interval time.Duration) (clients oldClients) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() { stop(); running.Wait() })
	for _, c := range l.farmers {
		time.Sleep(interval / time.Duration(len(l.farmers)))
		client := &oldClient{client: c, interval: interval, held: map[string]*oldContract{}, dropped: map[string]int64{}}
		clients = append(clients, client)
		running.Go(func() { client.run(ctx) })
	}
	return clients
}

// await waits until each client has that many more heartbeats.
func (clients oldClients) await(t *testing.T, heartbeats int64) {
	t.Helper()
	goals := make([]int64, len(clients))
	for i, c := range clients {
		goals[i] = c.accepted.Load() + heartbeats
	}
	for i, c := range clients {
		within(t, fmt.Sprintf("%d more heartbeats of client %d", heartbeats, i), func() bool { return c.accepted.Load() >= goals[i] })
	}
}

// uptimes returns the uptime of each client by its farmer id.
func (clients oldClients) uptimes(n *fallible) map[string]float64 {
	uptimes := map[string]float64{}
	for _, c := range clients {
		uptimes[c.id] = n.farmer(c.id).Uptime
	}
	return uptimes
}

// dropped returns the number of contracts that the clients dropped, in all and by reason.
func (clients oldClients) dropped() (total int64, reasons map[string]int64) {
	reasons = map[string]int64{}
	for _, c := range clients {
		c.mu.Lock()
		for reason, contracts := range c.dropped {
			reasons[reason] += contracts
			total += contracts
		}
		c.mu.Unlock()
	}
	return total, reasons
}

// oldClient does what the farmers' client of 2015 does, in less time:
//
//   - It sends a proof oldMargin after it has made it. If the challenge is due before
//     that, it drops the contract instead.
//   - It repeats a failed request with proofs until they are due, and a failed request
//     for challenges until one interval after the due time. Then it drops the contracts.
//   - If the challenge is still the answered one, it asks again, as after a failure. It
//     does not look at the due time of such a response.
//   - An error in a response ends the contract.
//   - It takes new contracts for those that it has dropped.
type oldClient struct {
	*client
	interval time.Duration
	held     map[string]*oldContract
	refillAt time.Time

	accepted atomic.Int64

	mu      sync.Mutex
	dropped map[string]int64 // by reason
}

// oldContract is a contract of an oldClient.
type oldContract struct {
	*contract
	next time.Time // of the next request
}

// The client's times are 5 s, 3 s and 30 s, for an interval of 300 s.
const (
	oldMargin = time.Second
	oldRetry  = 500 * time.Millisecond
	oldRefill = 2 * time.Second
)

func (c *oldClient) run(ctx context.Context) {
	for ctx.Err() == nil {
		c.refill()
		c.submit()
		c.renew()
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// refill takes contracts until there are enough.
func (c *oldClient) refill() {
	if time.Now().Before(c.refillAt) {
		return
	}
	c.contracts = nil
	for range c.held {
		c.contracts = append(c.contracts, nil) // take counts them
	}
	held := len(c.contracts)
	_ = c.take() // it tries again
	for _, taken := range c.contracts[held:] {
		c.held[taken.file] = &oldContract{contract: taken}
		c.begin(c.held[taken.file])
	}
	c.refillAt = time.Now().Add(oldRefill)
}

// begin makes the proof for a new challenge.
func (c *oldClient) begin(held *oldContract) {
	if err := held.prove(c.prover, false); err != nil {
		c.strange("prove file %s: %v", held.file, err)
	}
	held.next = time.Now().Add(oldMargin)
	if !held.due.After(held.next) {
		c.drop(held, "due too soon")
	}
}

// drop ends a contract.
func (c *oldClient) drop(held *oldContract, reason string) {
	delete(c.held, held.file)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropped[reason]++
}

// retry repeats a request about a contract if that happens before until.
func (c *oldClient) retry(held *oldContract, until time.Time, reason string) {
	held.next = time.Now().Add(oldRetry)
	if !held.next.Before(until) {
		c.drop(held, reason)
	}
}

// ready returns the contracts whose next request is due.
func (c *oldClient) ready(answered bool) (ready map[string]*oldContract, files []string) {
	ready = maps.Clone(c.held)
	maps.DeleteFunc(ready, func(_ string, held *oldContract) bool {
		return held.answered != answered || time.Now().Before(held.next)
	})
	for file := range ready {
		files = append(files, file)
	}
	return ready, files
}

// submit sends the proofs that are ready.
func (c *oldClient) submit() {
	ready, files := c.ready(false)
	if len(files) == 0 {
		return
	}
	var proofs []farmer.Proof
	for _, file := range files {
		proofs = append(proofs, farmer.Proof{FileHash: file, Proof: ready[file].proof})
	}
	report, err := c.replica().Answers(context.Background(), c.token, proofs)
	if err != nil {
		for _, held := range ready {
			c.retry(held, held.due, "no verdict until due")
		}
		return
	}
	for _, verdict := range report {
		held := ready[verdict.FileHash]
		if !verdict.OK() {
			c.drop(held, verdict.Error)
			continue
		}
		held.answered, held.next = true, held.due
		c.accepted.Add(1)
	}
}

// renew asks for the challenges that are ready.
func (c *oldClient) renew() {
	ready, files := c.ready(true)
	if len(files) == 0 {
		return
	}
	challenges, err := c.replica().Challenges(context.Background(), c.token, files)
	if err != nil {
		for _, held := range ready {
			c.retry(held, held.due.Add(c.interval), "no response one interval after due")
		}
		return
	}
	for _, challenge := range challenges {
		held := ready[challenge.FileHash]
		switch {
		case challenge.Error != "" || challenge.Status != "":
			c.drop(held, challenge.Error+challenge.Status)
		case challenge.Answered:
			c.retry(held, held.due.Add(c.interval), "no next challenge one interval after due")
		default:
			held.update(challenge.Issued, false)
			c.begin(held)
		}
	}
}
