package apiserver

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/driveshare/downstream-node/heartbeat/wirejson"
	"github.com/driveshare/downstream-node/internal/node"
)

// answer answers POST /answer/{token}/{file_hash}.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) error {
	const want = `{"proof": ...}`
	f, err := s.farmer(r)
	if err != nil {
		return err
	}
	var proof givenProof
	err = s.readObject(w, r, want, func(in *wirejson.Reader, name []byte) error {
		if wirejson.IsName(name, "proof") {
			return proof.read(in, f)
		}
		return in.Skip()
	})
	if err != nil {
		return err
	}
	if !proof.given {
		return bodyError(errors.New("no proof"), want)
	}
	sub := s.submit(r.Context(), f)
	defer sub.close()
	if err := sub.add(mux.Vars(r)["file_hash"], proof.binary); err != nil {
		return err
	}
	outcomes, err := sub.outcomes()
	if err != nil {
		return err
	}
	if !outcomes[0].Accepted() {
		return badRequest(outcomes[0].Message())
	}
	writeRawJSON(w, http.StatusOK, statusOK)
	return nil
}

var statusOK = []byte(`{"status":"ok"}` + "\n")

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
	err = s.readArray(w, r, "proofs", want, func(in *wirejson.Reader) error {
		hash, proof, err := readAnswer(in, f)
		if err != nil {
			return err
		}
		if len(sub.hashes) == s.opt.MaxProofs {
			return badRequest(fmt.Sprintf("more than %d proofs in one request", s.opt.MaxProofs))
		}
		if hash == nil || !proof.given {
			return bodyError(errors.New("no file_hash or no proof"), want)
		}
		return sub.add(*hash, proof.binary)
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

// readAnswer reads {"file_hash", "proof"}; what is not there is not given.
func readAnswer(in *wirejson.Reader, f farmer) (hash *string, proof givenProof, err error) {
	err = in.Object(func(name []byte) error {
		switch {
		case wirejson.IsName(name, "proof"):
			return proof.read(in, f)
		case wirejson.IsName(name, "file_hash"):
			text, ok, err := in.String()
			if hash = nil; ok {
				hash = &text
			}
			return err
		}
		return in.Skip()
	})
	return hash, proof, err
}

// givenProof is a proof as it goes to the workers: one that cannot be parsed,
// or is larger than any job should be, is a wrong proof, and goes on as an
// empty one, to be counted.
type givenProof struct {
	binary []byte
	given  bool
}

// read reads a proof of the farmer's. Of several in one object the last counts.
func (p *givenProof) read(in *wirejson.Reader, f farmer) error {
	wire, err := in.Value()
	if err != nil {
		return err
	}
	p.given = true
	if p.binary, err = f.key.ParseProof(wire); err != nil || len(p.binary) > partBytes {
		p.binary = nil
	}
	return nil
}

// writeReport writes {"file_hash", "status"} or {"file_hash", "error"} for each
// proof.
func (s *Server) writeReport(w http.ResponseWriter, hashes []string, outcomes []node.Outcome) error {
	out := s.newArray(w, "report")
	var line []byte
	for i, outcome := range outcomes {
		line = appendText(append(line[:0], `{"file_hash":`...), hashes[i])
		if outcome.Accepted() {
			line = append(line, `,"status":"ok"}`...)
		} else {
			line = append(appendText(append(line, `,"error":`...), outcome.Message()), '}')
		}
		if _, err := out.next().Write(line); err != nil {
			return err
		}
	}
	return out.end()
}
