package apiserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
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

func TestSlowReaders(t *testing.T) {
	t.Parallel()
	const grace, part = time.Minute, 64 << 10
	for _, tt := range []struct {
		name  string
		rate  int64
		pause time.Duration // before the client reads each part
		parts int
		slow  bool          // whether the client is too slow
		after time.Duration // when the response ends
	}{
		{"fast", longListRate, 0, 1000, false, 0},
		{"the minimum rate", longListRate, time.Second, 1000, false, 1000 * time.Second},
		{"late, but within the grace", longListRate, 50 * time.Second, 1, false, 50 * time.Second},
		{"too slow", longListRate, 2500 * time.Millisecond, 1000, true, 99 * time.Second},
		{"nothing", longListRate, time.Hour, 1000, true, grace},
		{"a farmer that is slow", readRate, 50 * time.Second, 4, false, 200 * time.Second},
		{"a farmer that reads nothing", readRate, time.Hour, 4, true, grace},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				node, client := net.Pipe()
				go func() {
					for time.Sleep(tt.pause); ; time.Sleep(tt.pause) {
						if _, err := io.ReadFull(client, make([]byte, part)); err != nil {
							return
						}
					}
				}()
				w := newPacedWriter(node, node.SetWriteDeadline, tt.rate, grace)
				start := time.Now()
				var err error
				for i := 0; i < tt.parts && err == nil; i++ {
					_, err = w.Write(make([]byte, part))
				}
				if took := time.Since(start).Round(time.Second); errors.Is(err, os.ErrDeadlineExceeded) != tt.slow || took != tt.after {
					t.Errorf("%v after %v, want %v", err, took, tt.after)
				}
				node.Close()
				client.Close()
				time.Sleep(2 * time.Hour) // until the goroutine has ended
			})
		})
	}
}

// Several clients together cannot have more than maxLongLists.
func TestLongListsAreLimited(t *testing.T) {
	t.Parallel()
	l := newLoad(Config{MaxInFlight: 1}, 64)
	var begun []*client
	for i := range maxLongLists {
		c := l.enter(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 0)
		for l.beginLongList(c) {
			begun = append(begun, c)
		}
	}
	if len(begun) != maxLongLists || begun[0] != begun[clientLongLists-1] || begun[0] == begun[clientLongLists] {
		t.Errorf("%d long lists, want %d, and %d for each client", len(begun), maxLongLists, clientLongLists)
	}
	for _, c := range begun {
		l.endLongList(c)
	}
	if !l.beginLongList(begun[0]) || l.longLists != 1 {
		t.Errorf("%d long lists in flight after all have ended, want 1", l.longLists)
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
