package apiserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/driveshare/downstream-node/internal/node"
)

// answer answers POST /answer/{token}/{file_hash}.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) error {
	const want = `{"proof": ...}`
	f, err := s.farmer(r)
	if err != nil {
		return err
	}
	var ask struct {
		Proof json.RawMessage `json:"proof"`
	}
	if err := s.decodeBody(w, r, &ask, want); err != nil {
		return err
	}
	if ask.Proof == nil {
		return bodyError(errors.New("no proof"), want)
	}
	sub := s.submit(r.Context(), f)
	defer sub.close()
	if err := sub.add(mux.Vars(r)["file_hash"], ask.Proof); err != nil {
		return err
	}
	outcomes, err := sub.outcomes()
	if err != nil {
		return err
	}
	if !outcomes[0].Accepted() {
		return badRequest(outcomes[0].Message())
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	return nil
}

// answers answers POST /answer/{token}: a batch of proofs. They go to the
// workers part by part while the body is still being read.
func (s *Server) answers(w http.ResponseWriter, r *http.Request) error {
	const want = `{"proofs": [{"file_hash", "proof"}, ...]}`
	f, err := s.farmer(r)
	if err != nil {
		return err
	}
	sub := s.submit(r.Context(), f)
	defer sub.close()
	err = eachElement(s, w, r, "proofs", want, func(a answerItem) error {
		if len(sub.hashes) == s.opt.MaxProofs {
			return badRequest(fmt.Sprintf("more than %d proofs in one request", s.opt.MaxProofs))
		}
		if a.FileHash == nil || a.Proof == nil {
			return bodyError(errors.New("no file_hash or no proof"), want)
		}
		return sub.add(*a.FileHash, a.Proof)
	})
	if err != nil {
		return err
	}
	outcomes, err := sub.outcomes()
	if err != nil {
		return err
	}
	return s.writeReport(w, sub.hashes, outcomes)
}

type answerItem struct {
	FileHash *string         `json:"file_hash"`
	Proof    json.RawMessage `json:"proof"`
}

type reportItem struct {
	FileHash string `json:"file_hash"`
	Status   string `json:"status,omitempty"`
	Error    string `json:"error,omitempty"`
}

func (s *Server) writeReport(w http.ResponseWriter, hashes []string, outcomes []node.Outcome) error {
	out := s.newArray(w, "report")
	for i, outcome := range outcomes {
		item := reportItem{FileHash: hashes[i], Error: outcome.Message()}
		if outcome.Accepted() {
			item = reportItem{FileHash: hashes[i], Status: "ok"}
		}
		if err := out.item(item); err != nil {
			return err
		}
	}
	return out.end()
}
