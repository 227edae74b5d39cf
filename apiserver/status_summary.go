package apiserver

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/driveshare/downstream-node/internal/roster"
)

// summaryAnswer is what all farmers add up to.
type summaryAnswer struct {
	Time       int64 `json:"time"` // Unix seconds
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
	sum := view.Summary()
	return writeSnapshot(w, r, summaryAnswer{
		Time: sum.Time.Unix(), Farmers: sum.Farmers, Online: sum.Online, Contracts: sum.Contracts, Size: sum.Size,
		Heartbeats: sum.Heartbeats, Wrong: sum.Wrong, Expired: sum.Expired,
	})
}

// statusMap answers GET /status/map.
func (s *Server) statusMap(w http.ResponseWriter, r *http.Request) error {
	view, err := s.roster.View(r.Context())
	if err != nil {
		return err
	}
	return writeSnapshot(w, r, map[string][]roster.Place{"places": view.Places()})
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
