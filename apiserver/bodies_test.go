package apiserver_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
)

// bomb compresses a body of start and size bytes of filler. It compresses 1 MiB of the
// filler once and repeats the result, because a gzip file may have several members.
func bomb(t *testing.T, start, filler string, size int) []byte {
	t.Helper()
	part := gzipped(t, []byte(strings.Repeat(filler, 1<<20/len(filler))))
	return slices.Concat(gzipped(t, []byte(start)), bytes.Repeat(part, size>>20))
}

// Each route refuses a body with more than the route needs.
func TestBodyLimits(t *testing.T) {
	t.Parallel()
	h := openHarness(t, testnode.Embedded, func(p *plan) { p.idle, p.cfg.API.MaxBody = true, 64<<20 })
	// Only a node that asks for signatures reads the body of /new.
	strict := openHarness(t, testnode.Embedded, func(p *plan) { p.idle, p.cfg.API.MaxBody, p.cfg.Access.Signatures = true, 64<<20, true })
	f := h.newFarmer(t, 1)
	create, hash := api+"/new/"+address, strings.Repeat("a", 64)
	const size = 32 << 20
	for _, tt := range []struct {
		name, path string
		body       []byte
		status     int
	}{
		{"new: one string", create, bomb(t, `{"message": "`, "x", size), http.StatusRequestEntityTooLarge},
		{"new: white space", create, bomb(t, "", " ", size), http.StatusRequestEntityTooLarge},
		{"new: just too much", create, []byte(strings.Repeat(" ", 8<<10+1)), http.StatusRequestEntityTooLarge},
		{"new: just enough", create, []byte(strings.Repeat(" ", 8<<10-2) + "{}"), http.StatusBadRequest},
		{"new: nested arrays", create, bomb(t, "", "[", size), http.StatusRequestEntityTooLarge},
		{"new: gzip in gzip", create, gzipped(t, bomb(t, `{"message": "`, "x", size)), http.StatusBadRequest},
		{"challenge: a member to skip", f.at("challenge"), append(bomb(t, `{"hashes": [], "x": [1`, ",1", size), gzipped(t, []byte("]}"))...), http.StatusRequestEntityTooLarge},
		{"challenge: one hash", f.at("challenge"), bomb(t, `{"hashes": ["`, "x", size), http.StatusRequestEntityTooLarge},
		{"challenge: one name", f.at("challenge"), bomb(t, `{"`, "x", size), http.StatusRequestEntityTooLarge},
		{"challenge: one hash, not compressed", f.at("challenge"), []byte(`{"hashes": ["` + strings.Repeat("x", 100_000) + `"]}`), http.StatusRequestEntityTooLarge},
		{"challenge: one name, not compressed", f.at("challenge"), []byte(`{"` + strings.Repeat("x", 100_000) + `": 1}`), http.StatusRequestEntityTooLarge},
		{"challenge: not a list", f.at("challenge"), bomb(t, `{"hashes": "`, "x", size), http.StatusRequestEntityTooLarge},
		{"challenge: gzip in gzip", f.at("challenge"), gzipped(t, bomb(t, `{"hashes": ["`, "x", size)), http.StatusBadRequest},
		{"answer: one proof", f.at("answer", hash), bomb(t, `{"proof": "`, "x", size), http.StatusRequestEntityTooLarge},
		{"answer: white space", f.at("answer", hash), bomb(t, "", " ", size), http.StatusRequestEntityTooLarge},
		{"answers: one proof", f.at("answer"), bomb(t, `{"proofs": [{"proof": "`, "x", size), http.StatusRequestEntityTooLarge},
		{"answers: one hash", f.at("answer"), bomb(t, `{"proofs": [{"file_hash": "`, "x", size), http.StatusRequestEntityTooLarge},
		{"answers: a proof of numbers", f.at("answer"), bomb(t, `{"proofs": [{"proof": [1`, ",1", size), http.StatusRequestEntityTooLarge},
		{"answers: escapes", f.at("answer"), bomb(t, `{"proofs": [{"file_hash": "`, `\u0041`, size), http.StatusRequestEntityTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at := h
			if tt.path == create {
				at = strict
			}
			got := at.ask(t, "POST", tt.path, tt.body)
			if got.status != tt.status {
				t.Errorf("%d %.200s, want %d", got.status, got.body, tt.status)
			}
			if len(got.body) > 1000 {
				t.Errorf("a response of %d bytes", len(got.body))
			}
		})
	}
}

// A hash that is too long names no file. The response repeats only its start, in a form
// that is no other file's hash.
func TestLongHashesAreCut(t *testing.T) {
	onEach(t, defaultPlan, func(t *testing.T, h *harness) {
		f := h.newFarmer(t, 1)
		c := f.takeOne(t, "seed")
		for _, long := range []string{c.FileHash + "0", c.FileHash + " ", strings.Repeat("x", 10_000), strings.Repeat("é", 100), strings.Repeat("\u20ac", 4000)} {
			asked := decodeOK[struct{ Challenges []contract }](t, f.ask(t, "POST", f.at("challenge"), map[string][]string{"hashes": {long, c.FileHash}})).Challenges
			batch := proofs{[]proofOf{{long, f.prove(t, c, nil)}, {c.FileHash, f.prove(t, c, nil)}}}
			told := decodeOK[report](t, f.ask(t, "POST", f.at("answer"), batch)).Report
			for _, cut := range []string{asked[0].FileHash, told[0].FileHash} {
				if start, ok := strings.CutSuffix(cut, "…"); !ok || len(cut) > 64 || len(start) < 58 || !strings.HasPrefix(long, start) {
					t.Errorf("%q for %.80q", cut, long)
				}
			}
			const unknown = "contract not found"
			if asked[0].Error != unknown || told[0].Error != unknown || asked[1].Error != "" || told[1].Status != "ok" {
				t.Errorf("%.80q: %+v, %+v", long, asked, told)
			}
		}
	})
}

// A request whose proofs are more than the budget waits for its own verdicts.
func TestBatchAboveTheBudget(t *testing.T) {
	onEach(t, func(p *plan) { p.cfg.API.MaxBody, p.cfg.API.BodyBudget = 16<<20, 4<<20 }, func(t *testing.T, h *harness) {
		f := h.newFarmer(t, 1)
		c := f.takeOne(t, "seed")
		honest := f.prove(t, c, nil)
		wrong := asJSON(t, map[string]any{
			"leaf":   map[string]any{"index": 0, "blob": make([]byte, 1000)},
			"branch": map[string]any{"rows": [][2][]byte{{make([]byte, 1000), make([]byte, 1000)}}},
		})
		batch := proofs{make([]proofOf, 1000)} // 3 MB, and a client's share is 1 MiB
		for i := range batch.Proofs {
			batch.Proofs[i] = proofOf{fmt.Sprintf("%064x", i), wrong}
		}
		batch.Proofs[500] = proofOf{c.FileHash, honest}
		for i, line := range decodeOK[report](t, f.ask(t, "POST", f.at("answer"), batch)).Report {
			if (line.Status == "ok") != (i == 500) {
				t.Errorf("proof %d: %+v", i, line)
			}
		}
	})
}

// A page of another site must not create anything with its visitor's IP address.
func TestCrossSiteRequestsAreRefused(t *testing.T) {
	t.Parallel()
	h := openHarness(t, testnode.Embedded, func(p *plan) { p.idle = true })
	f := h.newFarmer(t, 1)
	h.stock(t, "seed", 100, heartbeat.EncodeOptions{Challenges: 4})
	hash := strings.Repeat("a", 64)
	for _, route := range [][2]string{
		{"GET", api + "/new/" + address},
		{"HEAD", api + "/new/" + address},
		{"POST", api + "/new/" + address},
		{"GET", f.at("chunk")},
		{"GET", f.at("chunk", "100")},
		{"POST", f.at("challenge")},
		{"POST", f.at("answer")},
		{"POST", f.at("answer", hash)},
	} {
		got, err := f.try(t, route[0], route[1], nil, from, f.ip, "Sec-Fetch-Site", "cross-site")
		must(t, err)
		if got.status != http.StatusForbidden || route[0] != "HEAD" && !strings.Contains(got.body, `"status":"error"`) {
			t.Errorf("%s %s: %d %s", route[0], route[1], got.status, got.body)
		}
		for name := range got.header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s %s: a page of another site may read the response: %s", route[0], route[1], name)
			}
		}
	}
	for _, site := range []string{"same-origin", "same-site", "none"} {
		f.ask(t, "GET", f.at("chunk"), nil, "Sec-Fetch-Site", site).want(t, http.StatusOK, "chunks")
	}
	// The response is described.
	f.ask(t, "GET", f.at("chunk"), nil, "Sec-Fetch-Site", "cross-site").want(t, http.StatusForbidden, "another site")
	f.ask(t, "GET", api+"/status/list", nil, "Sec-Fetch-Site", "cross-site").want(t, http.StatusOK, "farmers")
}

// The default rates must be more than a farmer with thousands of contracts needs that
// sends one request for each of them.
func TestDefaultRates(t *testing.T) {
	t.Parallel()
	const contracts, requests = 5000, 2 // one challenge and one proof
	c := app.Default()
	for name, limit := range map[string]struct {
		Rate  float64
		Burst int
	}{"perIP": {c.API.RateLimits.PerIP.Rate, c.API.RateLimits.PerIP.Burst}, "perToken": {c.API.RateLimits.PerToken.Rate, c.API.RateLimits.PerToken.Burst}} {
		if limit.Burst < contracts*requests || limit.Rate*c.Contracts.Interval.Seconds() < 5*contracts*requests {
			t.Errorf("%s: %+v", name, limit)
		}
	}
}
