//go:build attacks

package attacks

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/farmer"
	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/test/deployment"
)

var binary string

func TestMain(m *testing.M) { deployment.Main(m, &binary) }

const (
	chunkSize = 1 << 10
	// honestFarmers is the number of farmers that run during an attack. Each one
	// holds honestChunks contracts.
	honestFarmers = 4
	honestChunks  = 4
	// patience limits the wait for what honest farmers do without an attack.
	patience = 2 * time.Minute
)

// scene is a node with honest farmers.
type scene struct {
	*deployment.Replica
	honest []*farmer.Farmer
	failed atomic.Int64 // requests of honest farmers that failed
}

// begin starts a standalone node whose inventory has that number of chunks, and
// honest farmers. It returns when each farmer holds its contracts and has proved
// each of them once. settings are added to those of the scene.
func begin(t *testing.T, settings deployment.Settings, chunks int) *scene {
	t.Helper()
	all := deployment.Settings{
		"contracts.interval":   "10s",
		"heartbeat.challenges": "256",
		"log.level":            "warn",
	}
	maps.Copy(all, settings)
	s := &scene{Replica: deployment.Standalone(t, binary, all, strconv.Itoa(chunkSize), strconv.Itoa(chunks))}
	for i := range honestFarmers {
		s.farm(t, i)
	}
	await(t, "every honest farmer holds and proves its contracts", func() bool {
		for _, f := range s.honest {
			if now := f.Snapshot(); now.Contracts < honestChunks || now.Heartbeats < honestChunks {
				return false
			}
		}
		return true
	})
	return s
}

// farm runs an honest farmer until the test ends.
func (s *scene) farm(t *testing.T, number int) {
	t.Helper()
	client, err := farmer.NewClient(s.URL, farmer.ClientConfig{HTTP: &http.Client{Transport: counted{honestTransport(number), &s.failed}}})
	testenv.Must(t, err)
	f, err := farmer.New(farmer.Config{
		Client:    client,
		Address:   deployment.NewAddress(t),
		Dir:       filepath.Join(t.TempDir(), strconv.Itoa(number)),
		Size:      honestChunks * chunkSize,
		TakeEvery: 200 * time.Millisecond,
		NoSync:    true,
	})
	testenv.Must(t, err)
	s.honest = append(s.honest, f)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := f.Run(ctx); err != nil {
			t.Errorf("honest farmer %d: %v", number, err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		client.Close()
	})
}

// during runs an attack, prints what it cost, and fails the test if an honest
// farmer noticed the attack or the node's memory grew by more than maxGrowth bytes.
func (s *scene) during(t *testing.T, name string, maxGrowth int64, attack func()) {
	t.Helper()
	before, lost := s.Memory(t), s.dropped()
	s.failed.Store(0)
	began := time.Now()
	ended := make(chan struct{})
	var sampling sync.WaitGroup
	peak := before
	sampling.Go(func() {
		for {
			select {
			case <-ended:
				return
			case <-time.After(20 * time.Millisecond):
				peak = max(peak, s.Memory(t))
			}
		}
	})
	attack()
	took := time.Since(began)
	close(ended)
	sampling.Wait()
	if !s.Running() {
		t.Fatalf("%s: the node ended", name)
	}
	failed, grown := s.failed.Load(), peak-before
	lost = s.dropped() - lost
	fmt.Printf("%s: honest requests failed %d, contracts lost %d, memory grown by %d MiB, time %v\n",
		name, failed, lost, grown>>20, took.Round(100*time.Millisecond))
	if failed > 0 || lost > 0 {
		t.Errorf("honest requests failed %d, contracts lost %d", failed, lost)
	}
	if grown > maxGrowth {
		t.Errorf("memory grown by %d MiB, limit %d MiB", grown>>20, maxGrowth>>20)
	}
}

// dropped is the number of contracts that honest farmers have lost.
func (s *scene) dropped() (n int64) {
	for _, f := range s.honest {
		now := f.Snapshot()
		n += now.Dropped + now.Refused + now.Rejected
	}
	return n
}

// counted counts requests that failed or whose response is not a success.
type counted struct {
	http.RoundTripper
	failed *atomic.Int64
}

func (c counted) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.RoundTripper.RoundTrip(r)
	if (err != nil && r.Context().Err() == nil) || (err == nil && resp.StatusCode != http.StatusOK) {
		c.failed.Add(1)
	}
	return resp, err
}

// CloseIdleConnections lets the client close its connections.
func (c counted) CloseIdleConnections() {
	c.RoundTripper.(*http.Transport).CloseIdleConnections()
}

// Each honest farmer and each attacker has its own IP address.
func honestTransport(number int) *http.Transport {
	return transportFrom(netip.AddrFrom4([4]byte{127, 0, 1, byte(1 + number)}))
}

func transportFrom(local netip.Addr) *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0))}
	return &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: 16}
}

// attacker sends bare requests from one IP address.
type attacker struct {
	t    testing.TB
	base string
	http *http.Client
}

// attacker returns an attacker with the IP address 127.0.2.NUMBER.
func (s *scene) attacker(t testing.TB, number int) *attacker {
	transport := transportFrom(netip.AddrFrom4([4]byte{127, 0, 2, byte(number)}))
	t.Cleanup(transport.CloseIdleConnections)
	return &attacker{t: t, base: s.URL + "/api/downstream/v1", http: &http.Client{Transport: transport, Timeout: time.Minute}}
}

// client returns a client of the protocol with the attacker's IP address.
func (a *attacker) client() *farmer.Client {
	client, err := farmer.NewClient(a.base, farmer.ClientConfig{HTTP: a.http})
	testenv.Must(a.t, err)
	return client
}

// token registers a token for a new address, or for the given one.
func (a *attacker) token(address string) string {
	a.t.Helper()
	told, err := a.client().NewToken(a.t.Context(), address, nil)
	testenv.Must(a.t, err)
	return told.Token
}

// await waits until done returns true.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
