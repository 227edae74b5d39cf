package swizzle

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"io"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/wirejson"
)

// Wire converts tags, challenges and proofs between their binary form and JSON,
// which needs no keys.
type Wire struct{}

var _ heartbeat.Wire = Wire{}

// WriteTagJSON writes the wire form of a binary tag.
func (Wire) WriteTagJSON(w io.Writer, tag io.Reader) error {
	// A bufio.Writer keeps its first error and returns it from Flush.
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
	if out == w { // the caller's, which may write more before it flushes
		return nil
	}
	return out.Flush()
}

// ParseTag parses the wire form of a tag.
func (Wire) ParseTag(wire json.RawMessage) ([]byte, error) {
	return parse("tag", wire, parseTag)
}

// ChallengeJSON returns the wire form of a binary challenge.
func (Wire) ChallengeJSON(challenge []byte) (json.RawMessage, error) {
	if _, err := parseChallenge(challenge); err != nil {
		return nil, malformed("challenge", err)
	}
	return marshalWire(challenge), nil
}

// ParseChallenge parses the wire form of a challenge.
func (Wire) ParseChallenge(wire json.RawMessage) ([]byte, error) {
	return parse("challenge", wire, parseChallenge)
}

// ProofJSON returns the wire form of a binary proof.
func (Wire) ProofJSON(proof []byte) (json.RawMessage, error) {
	if _, err := parseProof(proof); err != nil {
		return nil, malformed("proof", err)
	}
	return marshalWire(proof), nil
}

// ParseProof parses the wire form of a proof, of any number of sectors.
func (Wire) ParseProof(wire json.RawMessage) ([]byte, error) {
	return parse("proof", wire, parseProof)
}

// parse returns the bytes of a wire form if parseBinary accepts them.
func parse[T any](object string, wire json.RawMessage, parseBinary func([]byte) (T, error)) ([]byte, error) {
	b, err := parseWire(wire)
	if err == nil {
		_, err = parseBinary(b)
	}
	if err != nil {
		return nil, malformed(object, err)
	}
	return b, nil
}

func parseWire(wire json.RawMessage) ([]byte, error) {
	in := wirejson.Of(wire)
	b, _ := in.AppendBase64(nil, len(wire))
	return b, in.End()
}

// marshalWire returns b as a JSON string of base64, in which nothing needs an
// escape.
func marshalWire(b []byte) json.RawMessage {
	raw := make([]byte, 0, base64.StdEncoding.EncodedLen(len(b))+2)
	raw = append(raw, '"')
	raw = base64.StdEncoding.AppendEncode(raw, b)
	return append(raw, '"')
}
