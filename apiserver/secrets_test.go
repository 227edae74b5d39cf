package apiserver_test

import (
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/internal/testenv/testnode"
)

// A response whose path or body has a token must not be stored, also if it is an error.
func TestResponsesWithATokenAreNotStored(t *testing.T) {
	t.Parallel()
	h := openHarness(t, testnode.Embedded, withoutWorker)
	f := h.newFarmer(t, 1)
	c := f.takeOne(t, "seed")
	for _, tt := range []struct {
		method, path, body string
		secret             bool
	}{
		{"GET", api + "/new/" + address, "", true},
		{"POST", api + "/new/" + address, "{}", true},
		{"GET", api + "/new/farmer", "", true},
		{"GET", f.at("heartbeat"), "", true},
		{"GET", api + "/heartbeat/" + strings.Repeat("f", 32), "", true},
		{"GET", f.at("chunk"), "", true},
		{"GET", f.at("chunk", "1"), "", true},
		{"GET", f.at("challenge"), "", true},
		{"GET", f.at("challenge", c.FileHash), "", true},
		{"POST", f.at("challenge"), `{"hashes": []}`, true},
		{"POST", f.at("answer"), `{"proofs": []}`, true},
		{"POST", f.at("answer", c.FileHash), `{}`, true},
		{"GET", api + "/status/list", "", false},
		{"GET", api + "/status/show/" + f.token.Hash().FarmerID(), "", false},
		{"GET", api + "/none", "", false},
		{"GET", api + "%2fnone", "", false},
		{"GET", "/", "", false},
		{"GET", "/none", "", false},
	} {
		got, err := h.try(t, tt.method, tt.path, tt.body, from, f.ip)
		must(t, err)
		if stored := got.header.Get("Cache-Control"); tt.secret && stored != "no-store" {
			t.Errorf("%s %s: %d with Cache-Control %q, want no-store", tt.method, tt.path, got.status, stored)
		}
		if got.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: %d without nosniff", tt.method, tt.path, got.status)
		}
	}
}
