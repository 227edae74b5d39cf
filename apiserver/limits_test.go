package apiserver_test

import (
	"io"
	"net/http"
	"strconv"
	"testing"

	"github.com/driveshare/downstream-node/apiserver"
	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
)

// beginPost begins a POST request but sends only the first byte of the body. The channel
// reading is closed when the handler begins to read the body. send sends the rest of the
// body and returns the response.
func (f *farmer) beginPost(t *testing.T, r *replica, path, body string) (reading <-chan struct{}, send func() response) {
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
		if _, err := rest.Write([]byte(body[:1])); err != nil {
			t.Error(err)
		}
		close(begun)
	}()
	return begun, func() response {
		if _, err := rest.Write([]byte(body[1:])); err != nil {
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
	reading, send := f.beginPost(t, h.replica, f.at("challenge"), `{"hashes": []}`)
	<-reading
	got := f.ask(t, "GET", api, nil)
	got.want(t, http.StatusServiceUnavailable, "busy")
	if got.header.Get("Retry-After") != "3" {
		t.Errorf("Retry-After: %q", got.header.Get("Retry-After"))
	}
	send().want(t, http.StatusOK, `{"challenges":[]}`)
	// The server releases the slot shortly after it has sent the response.
	waitFor(t, "a free slot", func() bool { return f.ask(t, "GET", api, nil).status == http.StatusOK })
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
