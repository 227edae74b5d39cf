package apiserver_test

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/apiserver"
	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
)

// firstPart is white space that is as long as the part of a body that must arrive before
// the request gets a slot.
var firstPart = strings.Repeat(" ", 4<<10)

// beginPost begins a POST request but sends only the first bytes of the body. The channel
// reading is closed when the handler begins to read the body. send sends the rest of the
// body and returns the response.
func (f *farmer) beginPost(t *testing.T, r *replica, path, first, body string) (reading <-chan struct{}, send func() response) {
	t.Helper()
	pipe, rest := io.Pipe()
	begun, done := make(chan struct{}), make(chan response, 1)
	go func() {
		// With 100-continue, the client sends the body only when the handler reads it.
		got, err := r.try(t, "POST", path, io.Reader(pipe), from, f.ip, "Expect", "100-continue")
		if err != nil {
			t.Error(err)
		}
		done <- got
	}()
	go func() {
		if _, err := rest.Write([]byte(first)); err != nil {
			t.Error(err)
		}
		close(begun)
	}()
	return begun, func() response {
		if _, err := rest.Write([]byte(body[len(first):])); err != nil {
			t.Error(err)
		}
		rest.Close()
		return <-done
	}
}

func TestRequestsInFlightAreLimited(t *testing.T) {
	t.Parallel()
	h := openHarness(t, testnode.Embedded, func(p *plan) { p.cfg.API.MaxInFlight = 1 })
	f := h.newFarmer(t, 1)
	// The first part of the body has arrived, and the rest has not.
	reading, send := f.beginPost(t, h.replica, f.at("challenge"), firstPart, firstPart+`{"hashes": []}`)
	<-reading
	waitFor(t, "a request in flight", func() bool { return f.ask(t, "GET", api, nil).status != http.StatusOK })
	got := f.ask(t, "GET", api, nil)
	got.want(t, http.StatusServiceUnavailable, "busy")
	if got.header.Get("Retry-After") != "3" {
		t.Errorf("Retry-After: %q", got.header.Get("Retry-After"))
	}
	send().want(t, http.StatusOK, `{"challenges":[]}`)
	// The server releases the slot shortly after it has sent the response.
	waitFor(t, "a free slot", func() bool { return f.ask(t, "GET", api, nil).status == http.StatusOK })
}

// A client that sends its body slowly must not use a slot.
func TestRequestWithoutBodyTakesNoSlot(t *testing.T) {
	t.Parallel()
	h := openHarness(t, testnode.Embedded, func(p *plan) { p.cfg.API.MaxInFlight = 1 })
	slow, honest := h.newFarmer(t, 1), h.newFarmer(t, 2)
	var sends []func() response
	for range 3 {
		reading, send := slow.beginPost(t, h.replica, slow.at("challenge"), "{", `{"hashes": []}`)
		<-reading
		sends = append(sends, send)
	}
	for range 10 {
		honest.ask(t, "POST", honest.at("challenge"), `{"hashes": []}`).want(t, http.StatusOK, `{"challenges":[]}`)
	}
	for _, send := range sends {
		send().want(t, http.StatusOK, `{"challenges":[]}`)
	}
}

func TestRequestsOfOneAddressAreLimited(t *testing.T) {
	t.Parallel()
	h := openHarness(t, testnode.Embedded, func(p *plan) { p.cfg.API.RequestsPerIP = 2 })
	f := h.newFarmer(t, 1)
	f.ip = "2001:db8::1"
	var sends []func() response
	for range 2 {
		reading, send := f.beginPost(t, h.replica, f.at("challenge"), "{", `{"hashes": []}`)
		<-reading
		sends = append(sends, send)
	}
	for ip, status := range map[string]int{
		"2001:db8::1":         http.StatusServiceUnavailable,
		"2001:db8::ffff:1:2":  http.StatusServiceUnavailable, // the same network of 64 bits
		"2001:db8:0:1::1":     http.StatusOK,
		"192.0.2.1":           http.StatusOK,
		"::ffff:198.51.100.1": http.StatusOK,
	} {
		got := f.replica.ask(t, "GET", api, nil, from, ip)
		if got.status != status {
			t.Errorf("%s: %d %s, want %d", ip, got.status, got.body, status)
		}
		if got.status == http.StatusServiceUnavailable && got.header.Get("Retry-After") != "3" {
			t.Errorf("Retry-After: %q", got.header.Get("Retry-After"))
		}
	}
	for _, send := range sends {
		send().want(t, http.StatusOK, `{"challenges":[]}`)
	}
	waitFor(t, "the end of the requests", func() bool { return f.ask(t, "GET", api, nil).status == http.StatusOK })
}

func TestConnectionsOfOneAddressAreLimited(t *testing.T) {
	t.Parallel()
	h := openHarness(t, testnode.Embedded, func(p *plan) { p.idle = true })
	l := serveConfig() // it trusts 127.0.0.1
	l.ConnectionsPerIP = 2
	s := h.serve(t, l)
	// served opens a connection from an address, and reports whether the node serves it.
	served := func(ip string) (net.Conn, bool) {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
		conn, err := dialer.DialContext(t.Context(), "tcp", s.URL[len("http://"):])
		must(t, err)
		t.Cleanup(func() { conn.Close() })
		_, _ = conn.Write([]byte("GET " + api + " HTTP/1.1\r\nHost: node\r\n\r\n"))
		n, _ := conn.Read(make([]byte, 1))
		return conn, n == 1
	}
	first, _ := served("127.0.0.2")
	if _, ok := served("127.0.0.2"); !ok {
		t.Error("the second connection is not served")
	}
	if _, ok := served("127.0.0.2"); ok {
		t.Error("the third connection is served")
	}
	for _, other := range []string{"127.0.0.3", "127.0.0.1", "127.0.0.1", "127.0.0.1"} {
		if _, ok := served(other); !ok {
			t.Errorf("a connection from %s is not served", other)
		}
	}
	first.Close()
	waitFor(t, "room for a connection", func() bool {
		conn, ok := served("127.0.0.2")
		conn.Close()
		return ok
	})
	s.stop()
	must(t, <-s.ended)
}

func TestRatesAreLimited(t *testing.T) {
	onEach(t, func(p *plan) { p.idle = true }, func(t *testing.T, h *harness) {
		one, two := h.newFarmer(t, 1), h.newFarmer(t, 2)
		slow := apiserver.RateLimit{Rate: 0.01, Burst: 2}
		perAddress := h.open(t, func(c *app.Config) { c.API.RateLimits.PerIP = slow })
		perToken := h.open(t, func(c *app.Config) { c.API.RateLimits.PerToken = slow })

		limited := func(got response) {
			t.Helper()
			got.want(t, http.StatusServiceUnavailable, "too many requests")
			if wait, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || wait < 1 || wait > 100 {
				t.Errorf("Retry-After: %q", got.header.Get("Retry-After"))
			}
		}
		for range 2 {
			perAddress.ask(t, "GET", api, nil, from, one.ip).want(t, http.StatusOK, "ok")
		}
		limited(perAddress.ask(t, "GET", api, nil, from, one.ip))
		limited(perAddress.ask(t, "GET", api+"/nothing", nil, from, one.ip))
		perAddress.ask(t, "GET", api, nil, from, two.ip).want(t, http.StatusOK, "ok")

		// The limit of a token counts the requests from all IP addresses together.
		for _, ip := range []string{"198.51.100.1", "198.51.100.2"} {
			perToken.ask(t, "GET", one.at("challenge"), nil, from, ip).want(t, http.StatusOK, "challenges")
		}
		limited(perToken.ask(t, "GET", one.at("challenge"), nil, from, "198.51.100.3"))
		limited(perToken.ask(t, "GET", one.at("heartbeat"), nil, from, "198.51.100.3"))
		perToken.ask(t, "GET", two.at("challenge"), nil, from, two.ip).want(t, http.StatusOK, "challenges")
	})
}

// Without Redis, the node cannot count requests, so it accepts all requests.
func TestRatesWithoutRedis(t *testing.T) {
	t.Parallel()
	h := openHarness(t, testnode.Embedded, func(p *plan) {
		p.idle, p.cfg.API.RateLimits.PerIP = true, apiserver.RateLimit{Rate: 0.01, Burst: 1}
	})
	h.ask(t, "GET", api, nil).want(t, http.StatusOK, "ok")
	h.ask(t, "GET", api, nil).want(t, http.StatusServiceUnavailable, "too many requests")
	must(t, h.Redis.Close())
	h.ask(t, "GET", api, nil).want(t, http.StatusOK, "ok")
}
