package swizzle

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"io"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/internal/strictjson"
)

// Wire turns tags, challenges and proofs into JSON and back, which takes no
// keys.
type Wire struct{}

var _ heartbeat.Wire = Wire{}

// WriteTagJSON writes the wire form of a binary tag.
func (Wire) WriteTagJSON(w io.Writer, tag io.Reader) error {
	// A bufio.Writer keeps its first error and gives it at Flush.
	out := bufio.NewWriter(w)
	out.WriteByte('"')
	text := base64.NewEncoder(base64.StdEncoding, out)
	if err := copyTag(text, tag); err != nil {
		return err
	}
	if err := text.Close(); err != nil {
		return err
	}
	out.WriteByte('"')
	if out == w { // the caller's, who may have more to send with it
		return nil
	}
	return out.Flush()
}

// ParseTag reads the wire form of a tag.
func (Wire) ParseTag(wire json.RawMessage) ([]byte, error) {
	return parse("tag", wire, func(b []byte) error {
		_, err := parseTag(b)
		return err
	})
}

// ChallengeJSON gives the wire form of a binary challenge.
func (Wire) ChallengeJSON(challenge []byte) (json.RawMessage, error) {
	if _, err := parseChallenge(challenge); err != nil {
		return nil, malformed("challenge", err)
	}
	return marshalWire(challenge), nil
}

// ParseChallenge reads the wire form of a challenge.
func (Wire) ParseChallenge(wire json.RawMessage) ([]byte, error) {
	return parse("challenge", wire, func(b []byte) error {
		_, err := parseChallenge(b)
		return err
	})
}

// ProofJSON gives the wire form of a binary proof.
func (Wire) ProofJSON(proof []byte) (json.RawMessage, error) {
	if _, err := parseProof(proof); err != nil {
		return nil, malformed("proof", err)
	}
	return marshalWire(proof), nil
}

// ParseProof reads the wire form of a proof, of whatever number of sectors.
func (Wire) ParseProof(wire json.RawMessage) ([]byte, error) {
	return parse("proof", wire, func(b []byte) error {
		_, err := parseProof(b)
		return err
	})
}

// parse reads a wire form whose bytes pass check.
func parse(object string, wire json.RawMessage, check func([]byte) error) ([]byte, error) {
	b, err := parseWire(wire)
	if err == nil {
		err = check(b)
	}
	if err != nil {
		return nil, malformed(object, err)
	}
	return b, nil
}

func parseWire(wire json.RawMessage) ([]byte, error) {
	v, err := strictjson.Parse(wire)
	if err != nil {
		return nil, err
	}
	return v.AppendBase64(nil)
}

// marshalWire gives bytes as a JSON string of base64, which has nothing in it
// to escape.
func marshalWire(b []byte) json.RawMessage {
	raw := make([]byte, 0, base64.StdEncoding.EncodedLen(len(b))+2)
	raw = append(raw, '"')
	raw = base64.StdEncoding.AppendEncode(raw, b)
	return append(raw, '"')
}
