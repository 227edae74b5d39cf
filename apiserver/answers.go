package apiserver

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/driveshare/downstream-node/heartbeat/wirejson"
	"github.com/driveshare/downstream-node/internal/node"
)

// answer handles POST /answer/{token}/{file_hash}.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, f farmer) error {
	const want = `{"proof": ...}`
	var given proof
	value := proofLimit(f)
	err := s.readObject(w, r, bodyLimits{value + 1<<10, value}, want, func(in *wirejson.Reader, name []byte) error {
		if wirejson.IsName(name, "proof") {
			return given.read(in, f)
		}
		return in.Skip()
	})
	if err != nil {
		return err
	}
	if !given.found {
		return wrongShape(want)
	}
	sub := s.submit(r, f)
	defer sub.close()
	if err := sub.add(mux.Vars(r)["file_hash"], given.binary); err != nil {
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

// answers handles POST /answer/{token}, a request with many proofs. It sends the
// first proofs to the workers while it still reads the rest of the body.
func (s *Server) answers(w http.ResponseWriter, r *http.Request, f farmer) error {
	const want = `{"proofs": [{"file_hash", "proof"}, ...]}`
	sub := s.submit(r, f)
	defer sub.close()
	err := s.readArray(w, r, proofLimit(f), "proofs", want, func(in *wirejson.Reader) error {
		hash, given, err := readAnswer(in, f)
		if err != nil {
			return err
		}
		if len(sub.hashes) == s.cfg.MaxProofs {
			return badRequest(fmt.Sprintf("more than %d proofs in one request", s.cfg.MaxProofs))
		}
		if hash == nil || !given.found {
			sub.refuse(hash)
			return nil
		}
		return sub.add(*hash, given.binary)
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

// readAnswer reads {"file_hash", "proof"}. hash is nil if the value is not an object,
// or if its file_hash is missing, too large or not a string.
func readAnswer(in *wirejson.Reader, f farmer) (hash *string, given proof, err error) {
	if in.Next() != '{' {
		return nil, given, in.Skip()
	}
	err = in.Object(func(name []byte) error {
		switch {
		case wirejson.IsName(name, "proof"):
			return given.read(in, f)
		case wirejson.IsName(name, "file_hash"):
			if hash = nil; in.Next() != '"' {
				return in.Skip()
			}
			text, _, err := in.String()
			if errors.Is(err, wirejson.ErrTooLarge) {
				return nil
			}
			text = shortName(text)
			hash = &text
			return err
		}
		return in.Skip()
	})
	return hash, given, err
}

// proofLimit is the maximum size of a proof in a body. It is twice the size of a proof,
// because there may be white space.
func proofLimit(f farmer) int64 { return max(textBytes, 2*int64(f.key.MaxProof())) }

// proof is a proof in the binary form that the workers read. If the farmer's proof
// cannot be parsed or is too large, binary is empty. The workers count an empty proof
// as a wrong proof.
type proof struct {
	binary []byte
	found  bool
}

// read reads a proof. If an object has several proofs, the last proof counts.
func (p *proof) read(in *wirejson.Reader, f farmer) error {
	p.found, p.binary = true, nil
	wire, err := in.Value()
	if errors.Is(err, wirejson.ErrTooLarge) {
		return nil
	}
	if err != nil {
		return err
	}
	if binary, err := f.key.ParseProof(wire); err == nil && len(binary) <= partBytes {
		p.binary = binary
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
