package apiserver_test

import (
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/apiserver"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
)

// askUnchecked sends a request, but does not check it against the OpenAPI description. The
// description does not contain the pages.
func (r *replica) askUnchecked(t *testing.T, method, path string) response {
	t.Helper()
	got, err := r.try(t, method, path, nil)
	must(t, err)
	return got
}

// The pages show the data in the store, but no secret data.
func TestPage(t *testing.T) {
	onEach(t, func(p *plan) { p.idle = true }, func(t *testing.T, h *harness) {
		f := h.newFarmer(t, 1)
		c := f.takeOne(t, "seed")
		h.accept(t, f, c)
		h.Clock.Advance(10 * time.Second)
		id := f.token.Hash().FarmerID()

		front := h.askUnchecked(t, "GET", "/")
		for _, says := range []string{id, address, "1–1 of 1", "online"} {
			front.want(t, http.StatusOK, says)
		}
		h.askUnchecked(t, "GET", "/?q="+id[:5]).want(t, http.StatusOK, "1–1 of 1")
		h.askUnchecked(t, "GET", "/?q=nobody").want(t, http.StatusOK, "No farmer matching")
		own := h.askUnchecked(t, "GET", "/farmer/"+id+"/")
		for _, says := range []string{id, address, "Uptime by day", "100.00 %"} {
			own.want(t, http.StatusOK, says)
		}
		h.askUnchecked(t, "GET", "/history").want(t, http.StatusOK, "<th scope=\"row\">")
		h.askUnchecked(t, "GET", "/map.json?zoom=0").want(t, http.StatusOK, "[]")
		for _, page := range []response{front, own} {
			if strings.Contains(page.body, f.token.Hex()) || strings.Contains(page.body, f.ip) {
				t.Error("the page contains a token or an IP address")
			}
		}
		h.askUnchecked(t, "GET", "/farmer/"+f.token.Hex()).want(t, http.StatusNotFound, "No such farmer")
		h.askUnchecked(t, "GET", "/nothing").want(t, http.StatusNotFound, "<h1>")
		h.askUnchecked(t, "POST", "/").want(t, http.StatusMethodNotAllowed, "method not allowed")
		// Under /api/, the response is JSON, not a page.
		h.ask(t, "GET", "/api/downstream/", nil).want(t, http.StatusOK, `{"msg":"ok"}`)
		h.ask(t, "GET", "/api/other", nil).want(t, http.StatusNotFound, `{"status":"error"`)

		must(t, h.Store.Close())
		h.askUnchecked(t, "GET", "/farmer/"+id).want(t, http.StatusServiceUnavailable, "cannot be read at the moment")
	})
}

// pageLink matches a link of a page to this node.
var pageLink = regexp.MustCompile(`(?:href|src)="(/[^"#]*)`)

// TestPageRoutes checks that the server has a route for everything that the pages link to.
// Requests without a route have the label "unmatched" in metrics and logs.
func TestPageRoutes(t *testing.T) {
	t.Parallel()
	h := openHarness(t, testnode.Embedded, func(p *plan) { p.idle = true })
	f := h.newFarmer(t, 1)
	h.accept(t, f, f.takeOne(t, "seed"))
	h.Clock.Advance(10 * time.Second)
	id := f.token.Hash().FarmerID()
	linked := map[string]bool{"/farmer/" + id + "/badge.svg": true, "/map.json?zoom=0": true, "/robots.txt": true} // scripts and documents link to these
	for _, page := range []string{"/", "/history", "/farmer/" + id} {
		for _, link := range pageLink.FindAllStringSubmatch(h.askUnchecked(t, "GET", page).body, -1) {
			linked[html.UnescapeString(link[1])] = true
		}
	}
	if !linked["/farmer/"+id+"/strip.svg"] {
		t.Errorf("no page links to the farmer's strip: %v", linked)
	}
	for path := range linked {
		if !strings.HasPrefix(path, api) {
			h.askUnchecked(t, "GET", path).want(t, http.StatusOK, "")
		}
	}
	h.askUnchecked(t, "GET", "/nothing").want(t, http.StatusNotFound, "")
	waitFor(t, "the records of requests for paths that have a route, and of one that has none", func() bool {
		strips := h.metric(t, "downstream_api_requests_total", "/farmer/{id}/strip.svg", "200")
		return strips > 0 && h.metric(t, "downstream_api_requests_total", "unmatched", "404") == 1
	})
	if found := h.metric(t, "downstream_api_requests_total", "unmatched", "200"); found > 0 {
		t.Errorf("the server has no route for %v of %v", found, linked)
	}
}

// The node counts page requests separately from API requests. It does not count
// requests for assets.
func TestPageRates(t *testing.T) {
	t.Parallel()
	h := openHarness(t, testnode.Embedded, func(p *plan) {
		p.idle, p.cfg.API.RateLimits.PerIP = true, apiserver.RateLimit{Rate: 0.01, Burst: 2}
	})
	front := h.askUnchecked(t, "GET", "/")
	front.want(t, http.StatusOK, "/assets/page.")
	_, after, _ := strings.Cut(front.body, `rel="stylesheet" href="`)
	style, _, _ := strings.Cut(after, `"`)
	for range 5 {
		h.askUnchecked(t, "GET", style).want(t, http.StatusOK, "")
	}
	h.askUnchecked(t, "GET", "/").want(t, http.StatusOK, "")
	busy := h.askUnchecked(t, "GET", "/")
	busy.want(t, http.StatusServiceUnavailable, "Too many requests")
	if busy.header.Get("Retry-After") == "" {
		t.Error("the response to a visitor has no Retry-After")
	}
	h.ask(t, "GET", api, nil).want(t, http.StatusOK, "ok")
}
