package apiserver

import (
	"net/http"
	"time"
)

// maxFaults is the maximum number of faults in a response.
const maxFaults = 100

// fault is node.Fault in JSON, with times in Unix seconds.
type fault struct {
	ID       int64  `json:"id"`
	Start    int64  `json:"start"`
	End      *int64 `json:"end"`    // nil if the fault lasts
	Resume   *int64 `json:"resume"` // nil if the fault lasts
	Cause    string `json:"cause"`
	Evidence string `json:"evidence"`
	Void     int64  `json:"void"`
}

// maintenance is a maintenance that is planned or has begun, in JSON. Its end is the planned one.
type maintenance struct {
	Start  int64  `json:"start"`
	End    int64  `json:"end"`
	Reason string `json:"reason"`
}

type faultsResponse struct {
	Faults       []fault       `json:"faults"`
	Maintenances []maintenance `json:"maintenances"`
}

// statusFaults handles GET /status/faults.
func (s *Server) statusFaults(r *http.Request) (faultsResponse, error) {
	response := faultsResponse{[]fault{}, []maintenance{}} // not nil, so that an empty list is encoded as []
	recorded, err := s.Store.Faults(r.Context(), maxFaults)
	if err != nil {
		return response, err
	}
	for _, f := range recorded {
		response.Faults = append(response.Faults, fault{
			f.ID, f.Start.Unix(), optionalSeconds(f.End), optionalSeconds(f.Resume), string(f.Cause), f.Evidence, f.Void,
		})
	}
	planned, err := s.Store.Maintenances(r.Context())
	for _, m := range planned {
		response.Maintenances = append(response.Maintenances, maintenance{m.Start.Unix(), m.Planned.Unix(), m.Evidence})
	}
	return response, err
}

// optionalSeconds returns a time in Unix seconds, or nil for the zero time.
func optionalSeconds(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	seconds := t.Unix()
	return &seconds
}
