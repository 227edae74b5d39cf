package apiserver_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
)

// The response to HEAD has the same status and content type as the response to GET,
// but no body.
func TestHead(t *testing.T) {
	t.Parallel()
	h := openHarness(t, testnode.Embedded, func(p *plan) { p.idle = true })
	f := h.newFarmer(t, 1)
	c := f.takeOne(t, "seed")
	h.stock(t, "another", 100, heartbeat.EncodeOptions{Challenges: 4})
	for _, path := range []string{
		api, api + "/", api + "/openapi.json", api + "/status/list/by/d/uptime/25", api + "/status/summary", api + "/status/history",
		api + "/status/show/" + f.token.Hash().FarmerID(), api + "/status/show/nobody",
		f.at("heartbeat"), f.at("challenge"), f.at("challenge", c.FileHash), f.at("challenge", "unknown"),
		f.at("chunk"), f.at("chunk", "100"), f.at("chunk", "much"), api + "/new/" + address, api + "/new/nobody",
		api + "/nowhere", "/", "/nothing",
	} {
		head, get := h.askUnchecked(t, "HEAD", path), h.askUnchecked(t, "GET", path)
		contentType := head.header.Get("Content-Type")
		if head.status != get.status || contentType == "" || contentType != get.header.Get("Content-Type") || head.body != "" {
			t.Errorf("HEAD %s: %d %s %q, but GET: %d %s", path, head.status, contentType, head.body, get.status, get.header.Get("Content-Type"))
		}
	}
}

func TestHeadCreatesNothing(t *testing.T) {
	t.Parallel()
	h := openHarness(t, testnode.Embedded, func(p *plan) { p.idle = true })
	f := h.newFarmer(t, 1)
	h.stock(t, "seed", 100, heartbeat.EncodeOptions{Challenges: 4})
	h.askUnchecked(t, "HEAD", f.at("chunk", "100")).want(t, http.StatusOK, "")
	h.askUnchecked(t, "HEAD", api+"/new/"+address).want(t, http.StatusOK, "")
	h.askUnchecked(t, "GET", api+"/status/list").want(t, http.StatusOK, `"contracts":0`)
	if list := h.askUnchecked(t, "GET", api+"/status/list"); strings.Count(list.body, `"id"`) != 1 {
		t.Errorf("HEAD made a token: %s", list.body)
	}
	if taken := f.take(t, 100); len(taken) != 1 {
		t.Errorf("%d chunks are left after HEAD, want 1", len(taken))
	}
}

func TestOtherMethodsAreRefused(t *testing.T) {
	t.Parallel()
	h := openHarness(t, testnode.Embedded, func(p *plan) { p.idle = true })
	f := h.newFarmer(t, 1)
	for _, c := range []struct{ method, path, allow string }{
		{"POST", api + "/status/list", "GET, HEAD"},
		{"PUT", f.at("challenge"), "GET, HEAD, POST"},
		{"HEAD", f.at("answer"), "POST"},
		{"DELETE", "/", "GET, HEAD"},
	} {
		got := h.askUnchecked(t, c.method, c.path)
		if got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, allowed %q; want 405 and %q", c.method, c.path, got.status, got.header.Get("Allow"), c.allow)
		}
	}
}
