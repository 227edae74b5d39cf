package apiserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"unicode/utf8"

	"github.com/gorilla/mux"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/sjcx"
	"github.com/driveshare/downstream-node/internal/store"
)

type tokenAnswer struct {
	Token     string          `json:"token"`
	Type      heartbeat.Type  `json:"type"`
	Heartbeat json.RawMessage `json:"heartbeat"`
}

// newToken answers GET /new/{address}.
func (s *Server) newToken(w http.ResponseWriter, r *http.Request) error {
	if s.opt.Signatures {
		return badRequest(`the address must be proven: POST {"message": "...", "signature": "..."}`)
	}
	return s.createToken(w, r)
}

// newTokenSigned answers POST /new/{address}. A signature is checked wherever
// one is given, also where the node does not ask for it.
func (s *Server) newTokenSigned(w http.ResponseWriter, r *http.Request) error {
	const want = `{"message": "...", "signature": "..."}`
	var ask struct {
		Message   *string `json:"message"`
		Signature *string `json:"signature"`
	}
	if err := s.decodeBody(w, r, &ask, want); err != nil {
		return err
	}
	if ask.Message == nil || ask.Signature == nil {
		return bodyError(errors.New("no message or no signature"), want)
	}
	if utf8.RuneCountInString(*ask.Message) > s.opt.MessageLength {
		return badRequest(fmt.Sprintf("message is longer than %d characters", s.opt.MessageLength))
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
	token, key, ip := node.NewToken(), s.keys.Current(), requestOf(r.Context()).ip
	err := s.store.CreateToken(r.Context(), store.NewToken{
		Hash:     token.Hash(),
		Address:  address,
		IP:       ip.String(),
		Location: s.geo.Lookup(ip),
		KeyID:    key.ID,
	}, store.TokenLimits{TokensPerIP: s.opt.TokensPerIP, Whitelist: s.opt.Whitelist}, s.now())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, tokenAnswer{Token: token.Hex(), Type: key.Type(), Heartbeat: key.Public()})
	return nil
}

// errNonexistentToken is worded as farmers in the field expect it: they compare
// the text, and ask for a new token where it is this one.
var errNonexistentToken = notFound("Nonexistent token.")

// heartbeat answers GET /heartbeat/{token}. Unlike elsewhere, an unknown token
// is a 404 here.
func (s *Server) heartbeat(w http.ResponseWriter, r *http.Request) error {
	f, err := s.farmer(r)
	if errors.Is(err, errUnknownToken) {
		return errNonexistentToken
	}
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, tokenAnswer{Token: f.token.Hex(), Type: f.key.Type(), Heartbeat: f.key.Public()})
	return nil
}
