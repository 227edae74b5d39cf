package apiserver_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
)

// fuzzBody checks that a route responds to every body with JSON and with a status
// below 500.
func fuzzBody(f *testing.F, change func(*plan), path func(*farmer, contract) string, seeds func(*farmer, contract) []string) {
	h := openHarness(f, testnode.Embedded, change)
	farmer := h.newFarmer(f, 1)
	c := farmer.takeOne(f, "seed")
	for _, seed := range append(seeds(farmer, c), "", "{", "[]", "null", "\x1f\x8b", `{"proofs":`, "\xef\xbb\xbf{}") {
		f.Add([]byte(seed))
	}
	handler := h.API.Handler()
	target := path(farmer, c)
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest("POST", target, strings.NewReader(string(body)))
		r.RemoteAddr = farmer.ip + ":1"
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code >= http.StatusInternalServerError {
			t.Errorf("%d %s\n%s", w.Code, w.Body, h.Logs)
		}
		var response map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &response); err != nil {
			t.Errorf("%d %q: %v", w.Code, w.Body, err)
		}
		if (w.Code == http.StatusOK) == (response["status"] == "error") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

func FuzzAnswersBody(f *testing.F) {
	fuzzBody(f, defaultPlan,
		func(farmer *farmer, _ contract) string { return farmer.at("answer") },
		func(farmer *farmer, c contract) []string {
			return []string{
				string(asJSON(f, proofs{[]proofOf{{c.FileHash, farmer.prove(f, c, nil)}, {"x", json.RawMessage("1")}}})),
				`{"proofs": [{"file_hash": "` + c.FileHash + `", "proof": {"leaf": {"index": 0, "blob": ""}, "branch": {"rows": [[]]}}}]}`,
				`{"proofs": [1, null, {}, {"file_hash": null}, {"proof": 1}, {"file_hash": {}, "proof": []}]}`,
				`{"proofs": [{"file_hash": "` + c.FileHash + `", "proof": {"leaf": {"index": -1e9, "blob": 1}, "branch": null}}]}`,
			}
		})
}

func FuzzAnswerBody(f *testing.F) {
	fuzzBody(f, func(p *plan) { p.schemes = []heartbeat.Type{heartbeat.Swizzle} },
		func(farmer *farmer, c contract) string { return farmer.at("answer", c.FileHash) },
		func(farmer *farmer, c contract) []string {
			return []string{
				string(asJSON(f, map[string]any{"proof": farmer.prove(f, c, nil)})),
				`{"proof": "` + "CgAAAA" + strings.Repeat("AQAAAAA", 3) + `"}`, `{"proof": "/////w=="}`, `{"proof": ""}`,
			}
		})
}

func FuzzChallengesBody(f *testing.F) {
	fuzzBody(f, defaultPlan,
		func(farmer *farmer, _ contract) string { return farmer.at("challenge") },
		func(_ *farmer, c contract) []string {
			return []string{`{"hashes": ["` + c.FileHash + `", "x", ""]}`, `{"hashes": [null]}`, `{"hashes": [], "hashes": [""]}`, `{"a": {}, "hashes": []}`}
		})
}

func FuzzNewBody(f *testing.F) {
	fuzzBody(f, func(p *plan) { p.cfg.Access.Signatures = true },
		func(*farmer, contract) string { return api + "/new/19qVgG8C6eXwKMMyvVegsi3xCsKyk3Z3jV" },
		func(*farmer, contract) []string {
			return []string{
				`{"message": "test message", "signature": "HyzVUenXXo4pa+kgm1vS8PNJM83eIXFC5r0q86FGbqFcdla6rcw72/ciXiEPfjli3ENfwWuESHhv6K9esI0dl5I="}`,
				`{"message": "", "signature": ""}`, `{"message": "\u0000", "signature": "AAAA"}`,
			}
		})
}
