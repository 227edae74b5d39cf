package apiserver

import (
	"context"
	"fmt"
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

// A request waits for room in the budget, but only for a limited time. Many clients
// that use as much as they can must leave room for another client.
func TestBodyBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const budget = 400
		s := &Server{load: newLoad(Config{MaxInFlight: 1, BodyBudget: budget}, 64), metrics: newMetrics(prometheus.NewRegistry())}
		var all []*exchange
		request := func(ip string) *exchange {
			addr := netip.MustParseAddr(ip)
			e := &exchange{server: s, ip: addr, client: s.load.enter(addr, 0)}
			all = append(all, e)
			return e
		}
		hold := func(e *exchange, n int64, err error, after time.Duration) {
			t.Helper()
			start := time.Now()
			if got := e.hold(context.Background(), n); got != err || time.Since(start).Round(time.Second/2) != after {
				t.Errorf("%v after %v, want %v after %v", got, time.Since(start), err, after)
			}
		}
		one, two := request("2001:db8::1"), request("2001:db8::2")
		hold(one, 60, nil, 0)
		hold(two, 41, errBusy, bodyWait) // one client has a quarter
		hold(two, 40, nil, 0)
		time.AfterFunc(time.Second, func() { one.free(20) })
		hold(two, 20, nil, time.Second)

		for i := range 10 {
			for e := request(fmt.Sprint("192.0.2.", i)); e.tryHold(1); {
			}
		}
		hold(request("192.0.2.200"), 2, nil, 0)
		for _, e := range all {
			e.free(e.held)
			s.load.leave(e.ip)
		}
		if s.load.room != budget || len(s.load.clients) != 0 {
			t.Errorf("%d bytes of the budget of %d are left, and %d clients", s.load.room, budget, len(s.load.clients))
		}
	})
}
