//go:build faults

package faults

import (
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/farmer"
	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/test/deployment"
)

// fallible is a node that a test lets fail as a whole.
type fallible struct {
	t         *testing.T
	processes []*deployment.Replica // the first process serves farmers, the last one judges proofs
	servers   *deployment.Node      // nil for a standalone node
	proxy     *proxy                // farmers reach the node through it; nil if they do not need it
}

// outageSettings are settings for a node whose farmers have files on disk.
func outageSettings(interval time.Duration) deployment.Settings {
	return deployment.Settings{
		"contracts.interval":        interval.String(),
		"heartbeat.challenges":      "256",
		"sweep.interval":            "1s",
		"sweep.grace":               "1s",
		"contracts.unreachableHold": "1h",
		"api.rateLimits.perIP.rate": "0", // all farmers and the test have the same IP address
	}
}

// whole starts a node of one API replica and one worker, with MariaDB and Redis.
func whole(t *testing.T, interval time.Duration) *fallible {
	t.Helper()
	return wholeWith(t, interval, nil)
}

func wholeWith(t *testing.T, interval time.Duration, own deployment.Settings) *fallible {
	t.Helper()
	settings := outageSettings(interval)
	maps.Copy(settings, own)
	n := start(t, settings, "100")
	return &fallible{t, []*deployment.Replica{n.API(t, nil), n.Worker(t, nil)}, n, nil}
}

// standalone starts a node that is one process.
func standalone(t *testing.T, interval time.Duration) *fallible {
	t.Helper()
	return &fallible{t, []*deployment.Replica{deployment.Standalone(t, binary, outageSettings(interval), strconv.Itoa(chunkSize), "100")}, nil, nil}
}

// behindProxy starts a node that its farmers reach through a proxy.
func behindProxy(t *testing.T, interval time.Duration) *fallible {
	t.Helper()
	n := whole(t, interval)
	n.proxy = newProxy(t, strings.TrimPrefix(n.url(), "http://"))
	return n
}

// farmersURL is the address that farmers use.
func (n *fallible) farmersURL() string {
	if n.proxy != nil {
		return "http://" + n.proxy.listener.Addr().String()
	}
	return n.url()
}

func cutOff(_ *testing.T, n *fallible)  { n.proxy.cut(true) }
func connect(_ *testing.T, n *fallible) { n.proxy.cut(false) }

// proxy passes connections on, or refuses them all.
type proxy struct {
	listener net.Listener
	to       string

	mu      sync.Mutex
	refuses bool
	open    map[net.Conn]bool
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	testenv.Must(t, err)
	p := &proxy{listener: ln, to: to, open: map[net.Conn]bool{}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() { p.pass(conn) })
		}
	})
	t.Cleanup(func() { ln.Close(); p.cut(true); running.Wait() })
	return p
}

// cut ends all connections and refuses new ones, or stops refusing them.
func (p *proxy) cut(refuse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = refuse
	for conn := range p.open {
		conn.Close()
	}
}

func (p *proxy) pass(from net.Conn) {
	defer from.Close()
	to, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer to.Close()
	p.mu.Lock()
	refuses := p.refuses
	p.open[from] = true
	p.mu.Unlock()
	if !refuses {
		go func() {
			io.Copy(to, from)
			to.Close()
		}()
		io.Copy(from, to)
	}
	p.mu.Lock()
	delete(p.open, from)
	p.mu.Unlock()
}

func (n *fallible) worker() *deployment.Replica { return n.processes[len(n.processes)-1] }
func (n *fallible) url() string                 { return n.processes[0].URL }

func (n *fallible) each(do func(*deployment.Replica)) {
	for _, p := range n.processes {
		do(p)
	}
}

func kill(_ *testing.T, n *fallible)    { n.each(func(p *deployment.Replica) { p.Kill() }) }
func restart(t *testing.T, n *fallible) { n.each(func(p *deployment.Replica) { p.Restart(t) }) }
func pause(_ *testing.T, n *fallible)   { n.each(func(p *deployment.Replica) { p.Pause() }) }
func resume(_ *testing.T, n *fallible)  { n.each(func(p *deployment.Replica) { p.Resume() }) }

func killWorker(_ *testing.T, n *fallible)    { n.worker().Kill() }
func restartWorker(t *testing.T, n *fallible) { n.worker().Restart(t) }

func killMariaDB(_ *testing.T, n *fallible)  { n.servers.MariaDB.Kill() }
func startMariaDB(t *testing.T, n *fallible) { n.servers.MariaDB.Start(t) }
func killRedis(_ *testing.T, n *fallible)    { n.servers.Redis.Kill() }
func startRedis(t *testing.T, n *fallible)   { n.servers.Redis.Start(t) }

// farmer returns what the node publishes about a farmer.
func (n *fallible) farmer(id string) (status farmer.FarmerStatus) {
	publishedBy(n.t, n.url(), "show/"+id, &status)
	return status
}

// faults returns the node's faults, the latest first.
func (n *fallible) faults() []publishedFault {
	var list struct{ Faults []publishedFault }
	publishedBy(n.t, n.url(), "faults", &list)
	return list.Faults
}

type publishedFault struct {
	End  *int64 // nil if the fault lasts
	Void int64
}

// faultsEnded returns the number of faults that are over.
func (n *fallible) faultsEnded() (ended int) {
	for _, f := range n.faults() {
		if f.End != nil {
			ended++
		}
	}
	return ended
}

// void returns the number of contracts that ended without counting against their farmers.
func (n *fallible) void() (contracts int64) {
	for _, f := range n.faults() {
		contracts += f.Void
	}
	return contracts
}

// summary returns the totals that the node publishes.
func (n *fallible) summary() (totals struct{ Expired int64 }) {
	publishedBy(n.t, n.url(), "summary", &totals)
	return totals
}

// publishedBy reads a response of the status routes. It repeats the request until
// there is a response, because the node may just start.
func publishedBy(t *testing.T, url, route string, into any) {
	t.Helper()
	within(t, "status/"+route, func() bool {
		resp, err := http.Get(url + "/api/downstream/v1/status/" + route)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK && json.NewDecoder(resp.Body).Decode(into) == nil
	})
}
