package apiserver

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestSlowBodies(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name         string
		size         int           // of each write
		first, pause time.Duration // before the first write and before each further write
		total        int
		err          error
		after        time.Duration // when the read ends
	}{
		{"all at once", 100_000, 0, 0, 100_000, nil, 0},
		{"late, but within the grace", 100, 4 * time.Second, 0, 100, nil, 4 * time.Second},
		{"nothing", 1, time.Hour, 0, 1, errSlowBody, 5 * time.Second},
		{"a byte each second", 1, time.Second, time.Second, 1000, errSlowBody, 5 * time.Second},
		{"the minimum rate", 1 << 10, time.Second, time.Second, 20 << 10, nil, 20 * time.Second},
		{"fast, then nothing", 50_000, 0, time.Hour, 100_000, errSlowBody, 5 * time.Second},
		{"too long in total", 2 << 10, time.Second, time.Second, 200 << 10, errSlowBody, time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				node, client := net.Pipe()
				go func() {
					time.Sleep(tt.first)
					for sent := 0; sent < tt.total; sent += tt.size {
						if sent > 0 {
							time.Sleep(tt.pause)
						}
						if _, err := client.Write(make([]byte, tt.size)); err != nil {
							return
						}
					}
					client.Close()
				}()
				body := pacedBody{ReadCloser: node, setDeadline: node.SetReadDeadline, end: time.Now().Add(time.Minute), credit: bodyGrace}
				start := time.Now()
				n, err := io.Copy(io.Discard, &body)
				if err != tt.err || time.Since(start).Round(time.Second) != tt.after {
					t.Errorf("%d bytes, %v after %v, want %v after %v", n, err, time.Since(start), tt.err, tt.after)
				}
				if tt.err == nil && n != int64(tt.total) {
					t.Errorf("%d bytes, want %d", n, tt.total)
				}
				node.Close()
				client.Close()
				time.Sleep(2 * time.Hour) // until the goroutine has ended
			})
		})
	}
}

// A request waits for room in the budget, but only for a limited time.
func TestBodyBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &Server{load: newLoad(Config{MaxInFlight: 1, BodyBudget: 400}), metrics: newMetrics(prometheus.NewRegistry())}
		request := func(ip string) *exchange {
			addr := netip.MustParseAddr(ip)
			return &exchange{server: s, ip: addr, client: s.load.enter(addr, 0)}
		}
		hold := func(e *exchange, n int64, err error, after time.Duration) {
			t.Helper()
			start := time.Now()
			if got := e.hold(context.Background(), n); got != err || time.Since(start) != after {
				t.Errorf("%v after %v, want %v after %v", got, time.Since(start), err, after)
			}
		}
		one, two := request("192.0.2.1"), request("192.0.2.1")
		hold(one, 60, nil, 0)
		hold(two, 60, errBusy, bodyWait) // one client has a quarter
		hold(two, 40, nil, 0)
		others := []*exchange{request("192.0.2.2"), request("192.0.2.3"), request("2001:db8::1")}
		for _, e := range others {
			hold(e, 100, nil, 0)
		}
		honest := request("192.0.2.5")
		hold(honest, 1, errBusy, bodyWait) // the whole budget is used
		time.AfterFunc(time.Second, func() { others[0].free(100) })
		hold(honest, 50, nil, time.Second)
		for _, e := range append(others[1:], one, two, honest) {
			e.free(e.held)
		}
		if !s.load.bytes.TryAcquire(400) {
			t.Error("bytes of the budget are lost")
		}
		for _, e := range append(others, one, two, honest) {
			s.load.leave(e.ip)
		}
		if len(s.load.clients) != 0 {
			t.Errorf("%d clients are left", len(s.load.clients))
		}
	})
}
