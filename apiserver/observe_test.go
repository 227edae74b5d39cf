package apiserver_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/node"
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

// TestRequestLog checks which lines name the farmer and the client.
func TestRequestLog(t *testing.T) {
	t.Parallel()
	const ip = "192.0.2.77"
	for _, test := range []struct {
		name    string
		level   slog.Level
		clients bool
	}{
		{"debug", slog.LevelDebug, true},
		{"info", slog.LevelInfo, true},
		{"without clients", slog.LevelInfo, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := openHarness(t, testnode.Embedded, func(p *plan) {
				p.idle, p.cfg.API.RequestLog, p.cfg.API.LogClients = true, test.level, test.clients
			})
			token := decodeOK[struct{ Token string }](t, h.ask(t, "GET", api+"/new/"+address, nil, from, ip)).Token
			h.ask(t, "GET", api+"/heartbeat/"+token, nil, from, ip)
			parsed, err := node.ParseToken(token)
			must(t, err)
			id := parsed.Hash().FarmerID()
			line := func(contains string) (entry map[string]any) {
				waitFor(t, "the line with "+contains, func() bool {
					for line := range strings.Lines(h.Logs.String()) {
						if strings.Contains(line, contains) {
							must(t, json.Unmarshal([]byte(line), &entry))
							return true
						}
					}
					return false
				})
				return entry
			}
			joined, request := line(`"msg":"a farmer joined"`), line(`"route":"/api/downstream/v1/heartbeat/{token}"`)
			var wantIP any
			if test.clients {
				wantIP = ip
			}
			if joined["level"] != "INFO" || joined["farmer"] != id || joined["address"] != address || joined["ip"] != wantIP {
				t.Errorf("the line of the farmer that joined is %v", joined)
			}
			if request["level"] != test.level.String() || request["farmer"] != id || request["ip"] != wantIP || request["status"] != 200.0 {
				t.Errorf("the line of the request is %v", request)
			}
		})
	}
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

// Proofs count by the time in which the node decided on them. If it did not decide, they
// count too, unless the farmer ended the request.
func TestMetricOfDecisions(t *testing.T) {
	t.Parallel()
	type counts struct{ within5s, later, never float64 }
	for _, tt := range []struct {
		name   string
		idle   bool // no worker runs at first
		wait   time.Duration
		full   bool                      // the queue has no room
		body   func(proof string) string // nil for one proof
		status int
		want   counts
	}{
		{name: "at once", status: http.StatusOK, want: counts{within5s: 1}},
		{name: "after six seconds", idle: true, wait: 6 * time.Second, status: http.StatusOK, want: counts{later: 1}},
		{name: "no worker", idle: true, status: http.StatusServiceUnavailable, want: counts{never: 1}},
		{name: "queue full", idle: true, full: true, status: http.StatusServiceUnavailable, want: counts{never: 1}},
		{
			name: "wrong proofs and unknown files are decided", status: http.StatusOK, want: counts{within5s: 3},
			body: func(proof string) string {
				return `{"proofs": [` + proof + `, {"file_hash": "` + strings.Repeat("0", 64) + `", "proof": {}}, ` + proof + `]}`
			},
		},
		{
			name: "an item that no worker gets", status: http.StatusOK, want: counts{within5s: 1},
			body: func(proof string) string { return `{"proofs": [` + proof + `, {"file_hash": "no hash", "proof": {}}]}` },
		},
		{
			name: "a body that is cut off after the first job", idle: true, status: http.StatusBadRequest, want: counts{},
			body: func(proof string) string { return `{"proofs": [` + proof + `, {"file` },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := openHarness(t, testnode.Embedded, func(p *plan) {
				p.idle, p.cfg.API.PartSize, p.cfg.Redis.Queue.MaxQueue = tt.idle, 1, 10
				if tt.status == http.StatusServiceUnavailable {
					p.cfg.API.AnswerTimeout = 100 * time.Millisecond
				}
				if tt.full {
					p.cfg.Redis.Queue.MaxQueue = 1
				}
			})
			f := h.newFarmer(t, 1)
			c := f.takeOne(t, "seed")
			proof := f.prove(t, c, nil)
			if tt.full {
				h.fillQueue(t)
			}
			if tt.wait > 0 {
				testnode.Background(t, func(ctx context.Context) {
					for ctx.Err() == nil {
						if stats, err := h.Queue.Stats(ctx); err == nil && stats.Length > 0 {
							h.Clock.Advance(tt.wait)
							h.StartWorker(t)
							return
						}
						time.Sleep(time.Millisecond)
					}
				})
			}
			if tt.body == nil {
				f.submit(t, c, proof).want(t, tt.status, "")
			} else {
				item := string(asJSON(t, proofOf{c.FileHash, proof}))
				f.ask(t, "POST", f.at("answer"), tt.body(item)).want(t, tt.status, "")
			}
			var got counts
			waitFor(t, "the counts", func() bool {
				const name = "downstream_api_proofs_total"
				got = counts{h.metric(t, name, "within_5s"), h.metric(t, name, "later"), h.metric(t, name, "never")}
				return got == tt.want
			})
		})
	}
}
