package apiserver_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
)

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	h := openHarness(t, testnode.Embedded, func(p *plan) { p.idle = true })
	seen := map[string]bool{}
	for range 10 {
		seen[h.ask(t, "GET", api, nil).header.Get("X-Request-Id")] = true
	}
	if len(seen) != 10 || seen[""] {
		t.Errorf("%d ids for 10 requests", len(seen))
	}
	for given, kept := range map[string]bool{
		"0af76519-16cd_43dd": true, strings.Repeat("a", 64): true, strings.Repeat("a", 65): false,
		"": false, "with space": false, "line\tfeed": false, `"quoted"`: false, "ünicode": false,
	} {
		got := h.ask(t, "GET", api, nil, "X-Request-Id", given).header.Get("X-Request-Id")
		if (got == given) != kept || got == "" {
			t.Errorf("%q becomes %q", given, got)
		}
	}
	if !strings.Contains(h.Logs.String(), "0af76519-16cd_43dd") {
		t.Error("a request's id is not in the log")
	}
}

// The test sends valid and invalid requests, and checks that the log at debug level
// contains no token.
func TestLogHoldsNoToken(t *testing.T) {
	onEach(t, defaultPlan, func(t *testing.T, h *harness) {
		decoded := decodeOK[struct{ Token string }](t, h.ask(t, "GET", api+"/new/"+address, nil, from, "192.0.2.9"))
		f := h.newFarmer(t, 0xee)
		c := f.takeOne(t, "seed")
		for _, token := range []string{decoded.Token, f.token.Hex(), strings.ToUpper(f.token.Hex()), f.token.Hex() + "0"} {
			for _, path := range []string{"/heartbeat/", "/chunk/", "/challenge/", "/nothing/", "/status/show/", "/new/"} {
				h.ask(t, "GET", api+path+token, nil, from, f.ip)
			}
			for _, body := range []string{"", "{", `{"proofs": []}`, `{"hashes": ["` + token + `"]}`, string(asJSON(t, proofs{[]proofOf{{c.FileHash, nil}}}))} {
				h.ask(t, "POST", api+"/answer/"+token, body, from, f.ip)
				h.ask(t, "POST", api+"/answer/"+token+"/"+c.FileHash, body, from, f.ip)
				h.ask(t, "POST", api+"/challenge/"+token, body, from, f.ip)
			}
		}
		must(t, h.Store.DeleteToken(t.Context(), f.token.Hash().FarmerID(), h.Clock.Now()))
		f.ask(t, "GET", f.at("chunk"), nil).want(t, http.StatusBadRequest, "token not found")
		must(t, h.Redis.Close())
		f.ask(t, "GET", f.at("challenge"), nil)
		must(t, h.Store.Close())
		f.ask(t, "GET", f.at("challenge"), nil)

		log := strings.ToLower(h.Logs.String())
		if strings.Contains(log, decoded.Token) || strings.Contains(log, f.token.Hex()) {
			t.Error("a token is in the log")
		}
		if !strings.Contains(log, `/challenge/{token}`) {
			t.Errorf("no request is in the log:\n%s", log)
		}
	})
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	h := openHarness(t, testnode.Embedded, defaultPlan)
	f := h.newFarmer(t, 1)
	c := f.takeOne(t, "seed")
	f.submit(t, c, f.prove(t, c, nil)).want(t, http.StatusOK, "ok")
	f.ask(t, "GET", api+"/nothing", nil)

	waitFor(t, "the last request's record", func() bool {
		return h.metric(t, "downstream_api_requests_total", "unmatched", "404") == 1
	})
	for _, want := range []struct {
		name   string
		labels []string
		value  float64
	}{
		{"downstream_api_requests_total", []string{"/api/downstream/v1/chunk/{token}/{size}", "200"}, 1},
		{"downstream_api_requests_total", []string{"/api/downstream/v1/answer/{token}/{file_hash}", "200"}, 1},
		{"downstream_api_request_seconds", []string{"/api/downstream/v1/answer/{token}/{file_hash}"}, 1},
		{"downstream_api_verdicts_total", []string{"ok"}, 1},
		{"downstream_api_contracts_total", nil, 1},
		{"downstream_api_rate_limited_total", nil, 0},
		{"downstream_api_overload_refused_total", nil, 0},
		{"downstream_api_lost_replies_total", nil, 0},
	} {
		if got := h.metric(t, want.name, want.labels...); got != want.value {
			t.Errorf("%s%v is %v, want %v", want.name, want.labels, got, want.value)
		}
	}
}

// metric returns the metric's value for these label values. It returns -1 if there is
// no such value.
func (r *replica) metric(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	families, err := r.Registry.Gather()
	must(t, err)
	for _, family := range families {
		for _, m := range family.Metric {
			values := ""
			for _, pair := range m.Label {
				values += pair.GetValue() + " "
			}
			if family.GetName() != name || strings.TrimSpace(values) != strings.Join(labels, " ") {
				continue
			}
			if m.Histogram != nil {
				return float64(m.Histogram.GetSampleCount())
			}
			return m.Counter.GetValue()
		}
	}
	return -1
}

// The node has keys of both schemes. A token gets only chunks for its own key.
func TestBothSchemesInOneNode(t *testing.T) {
	both := func(p *plan) { p.idle, p.schemes = true, []heartbeat.Type{heartbeat.Merkle, heartbeat.Swizzle} }
	onEach(t, both, func(t *testing.T, h *harness) {
		f := h.newFarmer(t, 1)
		for i, key := range h.Keys.All() {
			h.addChunk(t, h.encode(t, key, []string{"merkle", "swizzle"}[i], 100, fewChallenges))
		}
		chunks := f.take(t, 1000)
		if len(chunks) != 1 || chunks[0].Seed != "merkle" {
			t.Errorf("a token for Merkle got %+v", chunks)
		}
	})
}
