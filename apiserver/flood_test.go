package apiserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
)

// peakDuring runs attack, and returns by how many bytes the process's memory grew at
// most. It counts the memory that the Go runtime has from the operating system.
func peakDuring(attack func()) (grown int64) {
	used := func() int64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapSys + m.StackSys - m.HeapReleased)
	}
	runtime.GC()
	before, peak := used(), int64(0)
	ended := make(chan struct{})
	var sampling sync.WaitGroup
	sampling.Go(func() {
		for {
			select {
			case <-ended:
				return
			case <-time.After(2 * time.Millisecond):
				peak = max(peak, used())
			}
		}
	})
	attack()
	close(ended)
	sampling.Wait()
	return peak - before
}

// Small requests that become large when the node reads them must not take much memory. The
// test is not parallel, because it measures the memory of the whole process.
func TestSmallBodiesTakeLittleMemory(t *testing.T) {
	h := openHarness(t, testnode.Embedded, func(p *plan) {
		p.cfg.API.MaxBody, p.cfg.API.RequestsPerIP = app.Default().API.MaxBody, 0
	})
	strict := h.open(t, func(c *app.Config) { c.Access.Signatures = true }) // only such a node reads the body of /new
	f := h.newFarmer(t, 1)
	c := f.takeOne(t, "seed")
	const size, atOnce, most = 32 << 20, 100, 64 << 20
	challenges, answers := h.URL+f.at("challenge"), h.URL+f.at("answer")
	hashes := asJSON(t, map[string][]string{"hashes": make([]string, 10_000)})
	hashes = bytes.ReplaceAll(hashes, []byte(`""`), []byte(`"`+strings.Repeat("a", 64)+`"`))
	batch := proofs{make([]proofOf, 4000)}
	for i := range batch.Proofs {
		batch.Proofs[i] = proofOf{fmt.Sprintf("%064x", i), json.RawMessage(`{"leaf":{"index":0,"blob":"` + strings.Repeat("A", 1200) + `"},"branch":{"rows":[]}}`)}
	}
	for _, attack := range []struct {
		name, url string
		body      []byte
	}{
		{"one string for a token", strict.URL + api + "/new/" + address, bomb(t, `{"message": "`, "x", size)},
		{"one string as a hash", challenges, bomb(t, `{"hashes": ["`, "x", size)},
		{"one string as a proof", h.URL + f.at("answer", c.FileHash), bomb(t, `{"proof": "`, "x", size)},
		{"nested arrays", answers, bomb(t, `{"proofs": [{"proof": [`, "[", size)},
		{"gzip in gzip", answers, gzipped(t, bomb(t, `{"proofs": [`, "x", size))},
		{"many hashes", challenges, gzipped(t, hashes)},
		{"large batches", answers, gzipped(t, asJSON(t, batch))},
	} {
		statuses := map[int]int{}
		var mu sync.Mutex
		send := func(number int) {
			var all sync.WaitGroup
			for i := range number {
				all.Go(func() {
					r, err := http.NewRequestWithContext(t.Context(), "POST", attack.url, bytes.NewReader(attack.body))
					must(t, err)
					r.Header.Set(from, fmt.Sprintf("198.51.100.%d", i%4))
					resp, err := h.Client().Do(r)
					if err != nil {
						return // the node may close the connection of a body that it refuses
					}
					defer resp.Body.Close()
					_, _ = resp.Body.Read(make([]byte, 1))
					mu.Lock()
					defer mu.Unlock()
					statuses[resp.StatusCode]++
				})
			}
			all.Wait()
		}
		send(4) // so that connections and buffers exist before the measurement
		grown := peakDuring(func() { send(atOnce) })
		t.Logf("%s: memory grown by %d MiB, statuses %v", attack.name, grown>>20, statuses)
		if grown > most {
			t.Errorf("%s: memory grown by %d MiB, limit %d MiB", attack.name, grown>>20, most>>20)
		}
		if statuses[http.StatusInternalServerError] > 0 || len(statuses) == 0 {
			t.Errorf("%s: statuses %v", attack.name, statuses)
		}
	}
	f.submit(t, c, f.prove(t, c, nil)).want(t, http.StatusOK, "ok")
}

// Attackers open many connections and send a header and one byte of a body on each. A
// farmer from another address must not notice.
func TestSlowBodiesDoNotHurtOthers(t *testing.T) {
	for _, attackers := range []int{1, 3} {
		t.Run(fmt.Sprint(attackers, " attackers"), func(t *testing.T) {
			t.Parallel()
			h := openHarness(t, testnode.Embedded, defaultPlan)
			l := serveConfig()
			l.MaxInFlight = 100 // fewer than the requests that the attackers may have in flight
			l.TrustedProxies = nil
			s := h.serve(t, l)
			f := h.newFarmer(t, 1)
			c := f.takeOne(t, "seed")
			proof := f.prove(t, c, nil)
			var open []net.Conn
			for a := range attackers {
				dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 2, byte(1+a))}}
				for range 1100 / attackers {
					conn, err := dialer.DialContext(t.Context(), "tcp", s.URL[len("http://"):])
					must(t, err)
					open = append(open, conn)
					_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: node\r\nContent-Length: 100000\r\n\r\n{", f.at("answer"))
				}
			}
			dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, 1)}}
			honest := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, address)
			}}}
			defer honest.CloseIdleConnections()
			for i := range 40 {
				body := bytes.NewReader(asJSON(t, map[string]json.RawMessage{"proof": proof}))
				resp, err := honest.Post(s.URL+f.at("answer", c.FileHash), "application/json", body)
				must(t, err)
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					t.Errorf("request %d: %s", i, resp.Status)
				}
			}
			for _, conn := range open {
				conn.Close()
			}
			s.stop()
			must(t, <-s.ended)
		})
	}
}
