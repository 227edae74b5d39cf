//go:build faults

package faults

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/test/deployment"
)

// balancer distributes requests as a Kubernetes Service does. It sends them in turn
// to the replicas that report that they are ready.
type balancer struct {
	*httptest.Server

	mu       sync.Mutex
	replicas []*deployment.Replica
	ready    []*httputil.ReverseProxy
	turn     int
}

// probeEvery is shorter than one second, the shortest period that Kubernetes
// allows. The drain delay of the replicas is also shorter in this test.
const probeEvery = 20 * time.Millisecond

func startBalancer(t *testing.T, replicas ...*deployment.Replica) *balancer {
	t.Helper()
	b := &balancer{replicas: replicas}
	b.Server = httptest.NewServer(b)
	ctx, cancel := context.WithCancel(context.Background())
	var probing sync.WaitGroup
	b.probe()
	probing.Go(func() {
		for ctx.Err() == nil {
			b.probe()
			time.Sleep(probeEvery)
		}
	})
	t.Cleanup(func() {
		cancel()
		probing.Wait()
		b.Close()
		transport.CloseIdleConnections()
	})
	return b
}

// transport keeps connections open, as load balancers do. If the replica closes a
// connection at the wrong moment, a request fails.
var transport = &http.Transport{MaxIdleConnsPerHost: 32}

func (b *balancer) add(r *deployment.Replica) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.replicas = append(b.replicas, r)
}

func (b *balancer) probe() {
	b.mu.Lock()
	replicas := b.replicas
	b.mu.Unlock()
	var ready []*httputil.ReverseProxy
	for _, r := range replicas {
		if !r.Running() || !r.Ready() {
			continue
		}
		target, err := url.Parse(r.URL)
		if err != nil {
			panic(err) // impossible: the test makes the URL
		}
		proxy := httputil.NewSingleHostReverseProxy(target)
		proxy.Transport = transport
		ready = append(ready, proxy)
	}
	b.mu.Lock()
	b.ready = ready
	b.mu.Unlock()
}

func (b *balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	if len(b.ready) == 0 {
		b.mu.Unlock()
		http.Error(w, "no replica is ready", http.StatusServiceUnavailable)
		return
	}
	b.turn++
	next := b.ready[b.turn%len(b.ready)]
	b.mu.Unlock()
	next.ServeHTTP(w, r)
}
