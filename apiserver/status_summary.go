package apiserver

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
)

// totalsAt are the totals of a moment, or of the span that begins then.
type totalsAt struct {
	Time int64 `json:"time"` // Unix seconds
	totals
}

// totals is node.Totals in JSON.
type totals struct {
	Farmers    int64 `json:"farmers"`
	Online     int64 `json:"online"`
	Contracts  int64 `json:"contracts"`
	Size       int64 `json:"size"`
	Heartbeats int64 `json:"heartbeats"`
	Wrong      int64 `json:"wrong"`
	Expired    int64 `json:"expired"`
}

// statusSummary answers GET /status/summary.
func (s *Server) statusSummary(w http.ResponseWriter, r *http.Request) error {
	view, err := s.roster.View(r.Context())
	if err != nil {
		return err
	}
	return writeSnapshot(w, r, totalsAt{view.Time.Unix(), totals(view.Summary())})
}

// place is node.Place in JSON.
type place struct {
	Lat     float64 `json:"lat"`
	Lon     float64 `json:"lon"`
	Country string  `json:"country"`
	City    string  `json:"city"`
	Farmers int64   `json:"farmers"`
	Online  int64   `json:"online"`
}

// statusMap answers GET /status/map.
func (s *Server) statusMap(w http.ResponseWriter, r *http.Request) error {
	view, err := s.roster.View(r.Context())
	if err != nil {
		return err
	}
	places := []place{} // encoded as [] if there are none
	for _, p := range view.Places() {
		places = append(places, place(p))
	}
	return writeSnapshot(w, r, map[string][]place{"places": places})
}

// writeSnapshot answers with v, unless the client has just that already. The
// tag is of what is said, so that all replicas agree on it.
func writeSnapshot(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", "no-cache") // keep it, and ask whether it is still so
	if strings.Contains(r.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	w.Write(append(body, '\n')) // a peer that went away needs no answer
	return nil
}
