package swizzle

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"io"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/wirejson"
)

// Wire converts tags, challenges and proofs between their binary form and JSON. The
// conversion needs no keys.
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
	if out == w { // the caller owns this writer and may write more before it flushes
		return nil
	}
	return out.Flush()
}

// ParseTag parses the wire form of a tag.
func (Wire) ParseTag(wire json.RawMessage) ([]byte, error) {
	_, b, err := parse("tag", wire, parseTag)
	return b, err
}

// ChallengeJSON returns the wire form of a binary challenge.
func (Wire) ChallengeJSON(challenge []byte) (json.RawMessage, error) {
	return write("challenge", challenge, parseChallenge)
}

// ParseChallenge parses the wire form of a challenge.
func (Wire) ParseChallenge(wire json.RawMessage) ([]byte, error) {
	_, b, err := parse("challenge", wire, parseChallenge)
	return b, err
}

// ProofJSON returns the wire form of a binary proof.
func (Wire) ProofJSON(proof []byte) (json.RawMessage, error) {
	return write("proof", proof, parseProof)
}

// ParseProof parses the wire form of a proof, of any number of sectors.
func (Wire) ParseProof(wire json.RawMessage) ([]byte, error) {
	_, b, err := parse("proof", wire, parseProof)
	return b, err
}

// parse parses the wire form of an object, and then parses the binary form with
// parseBinary. It returns the object and the binary form.
func parse[T any](name string, wire json.RawMessage, parseBinary func([]byte) (T, error)) (object T, b []byte, err error) {
	in := wirejson.Of(wire)
	b, _ = in.AppendBase64(nil, len(wire))
	if err = in.End(); err == nil {
		object, err = parseBinary(b)
	}
	if err != nil {
		return object, nil, malformed(name, err)
	}
	return object, b, nil
}

// write returns the wire form of a binary object. parseBinary must accept the
// object.
func write[T any](name string, b []byte, parseBinary func([]byte) (T, error)) (json.RawMessage, error) {
	if _, err := parseBinary(b); err != nil {
		return nil, malformed(name, err)
	}
	return marshalWire(b), nil
}

// marshalWire returns the base64 of b as a JSON string. No character of base64
// needs an escape.
func marshalWire(b []byte) json.RawMessage {
	raw := make([]byte, 0, base64.StdEncoding.EncodedLen(len(b))+2)
	raw = append(raw, '"')
	raw = base64.StdEncoding.AppendEncode(raw, b)
	return append(raw, '"')
}

// MaxProof returns the maximum size of a proof's wire form: a mu for each sector, and
// sigma.
func (h *Heartbeat) MaxProof() int {
	const u32 = 4
	return base64.StdEncoding.EncodedLen(u32+(h.sectors+1)*(u32+h.pSize())) + len(`""`)
}
