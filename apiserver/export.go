package apiserver

import (
	"encoding/csv"
	"iter"
	"net/http"
	"strconv"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// wantsCSV reports whether a request asks for CSV instead of JSON.
func wantsCSV(r *http.Request) (bool, error) {
	switch r.URL.Query().Get("format") {
	case "", "json":
		return false, nil
	case "csv":
		return true, nil
	}
	return false, badRequest("format must be json or csv")
}

// sendCSV sends rows below the names of their columns. The client must read rate bytes per second.
func (s *Server) sendCSV(w http.ResponseWriter, rate int64, columns []string, rows iter.Seq[[]string]) error {
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	allowChecked(w)
	out := csv.NewWriter(newPacedWriter(w, http.NewResponseController(w).SetWriteDeadline, rate, s.cfg.WriteTimeout))
	if err := out.Write(columns); err != nil {
		return err
	}
	for row := range rows {
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

var farmerCSV = []string{
	"id", "address", "country", "state", "city", "lat", "lon", "standing", "score", "uptime", "heartbeats", "contracts", "size", "online",
	"proven_since", "last_heartbeat", "last_due",
}

// farmerRow is a farmer in CSV. A value is empty if it is unknown. The score is the lower bound.
func (s *Server) farmerRow(f node.Farmer, at time.Time) []string {
	rules := s.Store.ScoreRules()
	standing, _ := f.Standing(rules, at)
	row := []string{f.ID, f.Address, "", "", "", "", "", string(standing), ""}
	decimal := func(v float64, digits int) string { return strconv.FormatFloat(v, 'f', digits, 64) }
	if l := f.Location; l != nil {
		row[2], row[3], row[4] = l.Country, l.State, l.City
		if l.HasCoordinates() {
			row[5], row[6] = decimal(l.Lat, -1), decimal(l.Lon, -1)
		}
	}
	if lower, known := f.Score(rules, at); known {
		row[8] = decimal(lower, 4)
	}
	whole := func(n int64) string { return strconv.FormatInt(n, 10) }
	row = append(row, decimal(f.Uptime.Percent(at), 2), whole(f.Heartbeats), whole(f.Contracts), whole(f.Size), strconv.FormatBool(f.Uptime.Online(at)))
	for _, t := range []time.Time{f.ProvenSince, f.LastHeartbeat, f.LastDue} {
		text := ""
		if !t.IsZero() {
			text = t.UTC().Format(time.RFC3339)
		}
		row = append(row, text)
	}
	return row
}

var historyCSV = []string{"start", "farmers", "online", "contracts", "size", "heartbeats", "wrong", "expired"}

// historyRows are spans in CSV.
func historyRows(spans []node.Span) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		for _, s := range spans {
			row := []string{s.Start.UTC().Format(time.RFC3339)}
			for _, n := range []int64{s.Farmers, s.Online, s.Contracts, s.Size, s.Heartbeats, s.Wrong, s.Expired} {
				row = append(row, strconv.FormatInt(n, 10))
			}
			if !yield(row) {
				return
			}
		}
	}
}
