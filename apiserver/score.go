package apiserver

import (
	"encoding/hex"
	"errors"
	"math"
	"net/http"
	"time"

	"github.com/gorilla/mux"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
)

// score is the evidence on a farmer in JSON.
type score struct {
	Lower   percent `json:"lower"` // the lower of the two lower bounds
	Online  track   `json:"online"`
	Correct track   `json:"correct"`
}

// track is node.Score in JSON. Weight is a number of intervals.
type track struct {
	Estimate percent `json:"estimate"`
	Lower    percent `json:"lower"`
	Upper    percent `json:"upper"`
	Weight   percent `json:"weight"`
}

func trackOf(s node.Score) track {
	return track{lowerBound(s.Estimate), lowerBound(s.Lower), percent(math.Ceil(1e4*s.Upper) / 100), percent(s.Weight)}
}

// lowerBound rounds a share down, so that the claim holds.
func lowerBound(share float64) percent { return percent(math.Floor(1e4*share) / 100) }

// suspension is node.Suspension in JSON.
type suspension struct {
	Since  int64  `json:"since"` // Unix seconds
	By     string `json:"by"`
	Reason string `json:"reason"`
	Lifts  string `json:"lifts"`
}

// rating is what a farmer's evidence says about it.
type rating struct {
	Standing      string      `json:"standing"`
	Suspension    *suspension `json:"suspension"` // nil if the farmer is not suspended
	Score         *score      `json:"score"`      // nil if there is no evidence
	ProvenSince   *time.Time  `json:"proven_since"`
	LastHeartbeat *time.Time  `json:"last_heartbeat"`
}

func (s *Server) rate(f *node.Farmer, now time.Time) rating {
	rules := s.Store.ScoreRules()
	standing, why := f.Standing(rules, now)
	r := rating{Standing: string(standing), ProvenSince: optionalTime(f.ProvenSince), LastHeartbeat: optionalTime(f.LastHeartbeat)}
	if standing == node.Suspended {
		r.Suspension = &suspension{why.Since.Unix(), string(why.By), why.Reason, why.Lifts(rules)}
	}
	if lower, proven := f.Score(rules, now); proven {
		online, correct := f.Evidence.Scores(now, rules.HalfLife)
		r.Score = &score{lowerBound(lower), trackOf(online), trackOf(correct)}
	}
	return r
}

// optionalTime returns a time in whole seconds, or nil for the zero time.
func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}

// uptimes are a farmer's uptimes over the last days, today included. A member is nil if the farmer had
// no contract in that time.
type uptimes struct {
	Week    *percent `json:"7d"`
	Month   *percent `json:"30d"`
	Quarter *percent `json:"90d"`
}

func uptimesOf(days []node.Day) *uptimes {
	over := func(last int) *percent {
		uptime, known := node.UptimeOver(days, last)
		if !known {
			return nil
		}
		shown := percent(uptime)
		return &shown
	}
	return &uptimes{over(7), over(30), over(90)}
}

// event is node.Event in JSON.
type event struct {
	Time     int64   `json:"time"` // Unix seconds
	Kind     string  `json:"kind"`
	FileHash *string `json:"file_hash"` // nil if the event is not about a contract
	Fault    *int64  `json:"fault"`     // nil if the event is not about a void contract
	Reason   string  `json:"reason"`
}

// eventsResponse is the last events of a farmer.
type eventsResponse struct {
	ID     string  `json:"id"`
	Events []event `json:"events"`
}

// farmerEvents handles GET /status/show/{id}/events.
func (s *Server) farmerEvents(r *http.Request) (response eventsResponse, err error) {
	id, ok := node.ParseFarmerID(mux.Vars(r)["id"])
	if !ok {
		return response, errUnknownFarmer
	}
	events, err := s.Store.FarmerEvents(r.Context(), id)
	if errors.Is(err, store.ErrNotFound) {
		err = errUnknownFarmer
	}
	response = eventsResponse{ID: id, Events: make([]event, len(events))}
	for i, e := range events {
		response.Events[i] = event{Time: e.At.Unix(), Kind: string(e.Kind), Reason: e.Detail}
		if e.FileHash != (node.FileHash{}) {
			name := hex.EncodeToString(e.FileHash[:])
			response.Events[i].FileHash = &name
		}
		if e.FaultID != 0 {
			response.Events[i].Fault = &e.FaultID
		}
	}
	return response, err
}
