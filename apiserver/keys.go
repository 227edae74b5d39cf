package apiserver

import (
	"net/http"

	"github.com/driveshare/downstream-node/internal/store"
)

// keyResponse is a heartbeat key in JSON. Contracts is the number of contracts that still need
// a retiring key; nil if the key is not retiring, or if they were not counted yet.
type keyResponse struct {
	Fingerprint string         `json:"fingerprint"`
	Scheme      string         `json:"scheme"`
	State       store.KeyState `json:"state"`
	Compromised bool           `json:"compromised"`
	Contracts   *int64         `json:"contracts"`
	Created     int64          `json:"created"` // in Unix seconds
}

type keysResponse struct {
	Keys []keyResponse `json:"keys"`
}

// statusKeys handles GET /status/keys.
func (s *Server) statusKeys(r *http.Request) (response keysResponse, err error) {
	keys, err := s.Store.Keys(r.Context())
	response.Keys = []keyResponse{} // not nil, so that an empty list is encoded as []
	for _, k := range keys {
		item := keyResponse{k.Fingerprint, k.Type, k.State(), k.Compromised, nil, k.Created.Unix()}
		if k.State() == store.KeyRetiring && k.Need >= 0 {
			item.Contracts = &k.Need
		}
		response.Keys = append(response.Keys, item)
	}
	return response, err
}
