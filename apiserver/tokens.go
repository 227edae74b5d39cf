package apiserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"unicode/utf8"

	"github.com/gorilla/mux"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/geo"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/sjcx"
	"github.com/driveshare/downstream-node/internal/store"
)

type tokenResponse struct {
	Token     string          `json:"token"`
	Type      heartbeat.Type  `json:"type"`
	Heartbeat json.RawMessage `json:"heartbeat"`
}

// newToken handles GET /new/{address}.
func (s *Server) newToken(w http.ResponseWriter, r *http.Request) error {
	if s.access.Signatures {
		return badRequest(`the address must be proven: POST {"message": "...", "signature": "..."}`)
	}
	return s.createToken(w, r)
}

// newTokenSigned handles POST /new/{address}. It ignores the body if the node does not
// require signatures, as the old node did.
func (s *Server) newTokenSigned(w http.ResponseWriter, r *http.Request) error {
	if !s.access.Signatures {
		return s.createToken(w, r)
	}
	const want = `{"message": "...", "signature": "..."}`
	var ask struct {
		Message   *string `json:"message"`
		Signature *string `json:"signature"`
	}
	// Six bytes encode a character in JSON, and the signature and the names need 1 KiB.
	most := max(8<<10, 6*int64(s.limits.MessageLength)+1<<10)
	if err := s.decodeBody(w, r, most, &ask, want); err != nil {
		return err
	}
	if ask.Message == nil || ask.Signature == nil {
		return wrongShape(want)
	}
	if utf8.RuneCountInString(*ask.Message) > s.limits.MessageLength {
		return badRequest(fmt.Sprintf("message is longer than %d characters", s.limits.MessageLength))
	}
	if err := sjcx.Verify(mux.Vars(r)["address"], *ask.Message, *ask.Signature); err != nil {
		return err
	}
	return s.createToken(w, r)
}

func (s *Server) createToken(w http.ResponseWriter, r *http.Request) error {
	address := mux.Vars(r)["address"]
	if _, _, err := sjcx.ParseAddress(address); err != nil {
		return err
	}
	if onlyHead(w, r) {
		return nil
	}
	token, key, ip := node.NewToken(), s.Keys.Current(), exchangeOf(r).ip
	location := s.Geo.Lookup(ip)
	if location == nil && s.InventPlaces {
		location = geo.Invent(address)
	}
	err := s.Store.CreateToken(r.Context(), store.NewToken{
		Hash:     token.Hash(),
		Address:  address,
		IP:       ip.String(),
		Location: location,
		KeyID:    key.ID,
	}, store.TokenLimits{
		TokensPerIP: s.limits.TokensPerIP,
		IPv6Prefix:  s.limits.IPv6Prefix,
		Whitelist:   s.access.Whitelist,
	}, s.Now())
	if err != nil {
		return s.withLimit(err)
	}
	e := exchangeOf(r)
	e.farmer = token.Hash().FarmerID()
	s.withClient(e.log(), e).Info("a farmer joined", "address", address)
	writeJSON(w, http.StatusOK, tokenResponse{Token: token.Hex(), Type: key.Type(), Heartbeat: key.Public()})
	return nil
}

// heartbeat handles GET /heartbeat/{token}. The response for an unknown token is a
// 404, but a 400 on all other routes. Deployed farmers request a new token only after
// this 404, so heartbeat must not use a cached record: its token may be deleted.
func (s *Server) heartbeat(r *http.Request) (tokenResponse, error) {
	f, err := s.farmerFrom(r, s.storedToken)
	if errors.Is(err, errUnknownToken) || errors.Is(err, store.ErrNotFound) {
		return tokenResponse{}, errNonexistentToken
	}
	if err != nil {
		return tokenResponse{}, err
	}
	return tokenResponse{Token: f.token.Hex(), Type: f.key.Type(), Heartbeat: f.key.Public()}, nil
}
