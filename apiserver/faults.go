package apiserver

import (
	"net/http"
	"time"
)

// maxFaults is the maximum number of faults in a response.
const maxFaults = 100

// fault is node.Fault in JSON, with times in Unix seconds.
type fault struct {
	Start    int64  `json:"start"`
	End      *int64 `json:"end"`    // nil if the fault lasts
	Resume   *int64 `json:"resume"` // nil if the fault lasts
	Cause    string `json:"cause"`
	Planned  *int64 `json:"planned"` // the planned end of a maintenance, or nil
	Evidence string `json:"evidence"`
	Void     int64  `json:"void"`
}

// statusFaults handles GET /status/faults.
func (s *Server) statusFaults(r *http.Request) (map[string][]fault, error) {
	recorded, err := s.Store.Faults(r.Context(), maxFaults)
	if err != nil {
		return nil, err
	}
	faults := []fault{} // not nil, so that an empty list is encoded as []
	for _, f := range recorded {
		faults = append(faults, fault{
			f.Start.Unix(), optionalSeconds(f.End), optionalSeconds(f.Resume), string(f.Cause), optionalSeconds(f.Planned), f.Evidence, f.Void,
		})
	}
	return map[string][]fault{"faults": faults}, nil
}

// optionalSeconds returns a time in Unix seconds, or nil for the zero time.
func optionalSeconds(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	seconds := t.Unix()
	return &seconds
}
