package schemes

import (
	"encoding/json"
	"fmt"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/internal/strictjson"
	"github.com/driveshare/downstream-node/heartbeat/swizzle"
)

// file is a heartbeat as a file. It is written, never read.
type file struct {
	Type          heartbeat.Type  `json:"type"`
	Heartbeat     json.RawMessage `json:"heartbeat"`
	CheckFraction *float64        `json:"check_fraction,omitempty"`
}

// MarshalFile gives the private heartbeat file, which is a secret.
func MarshalFile(h heartbeat.Heartbeat) []byte {
	f := file{Type: h.Type(), Heartbeat: h.Private()}
	if s, ok := h.(*swizzle.Heartbeat); ok {
		fraction := s.CheckFraction()
		f.CheckFraction = &fraction
	}
	return f.marshal()
}

// MarshalPublicFile gives the public heartbeat file, which a farmer proves
// with.
func MarshalPublicFile(h heartbeat.Heartbeat) []byte {
	return file{Type: h.Type(), Heartbeat: h.Public()}.marshal()
}

// ParseFile reads a private heartbeat file. A member "check_fraction" beside
// the heartbeat counts as ParsePrivate's checkFraction.
func ParseFile(b []byte) (heartbeat.Heartbeat, error) {
	object, t, wire, err := parseFile(b)
	if err != nil {
		return nil, err
	}
	var fraction *float64
	if object.Has("check_fraction") {
		if fraction, err = object.OptionalFloat64("check_fraction"); err != nil {
			return nil, malformed(err)
		}
	}
	return ParsePrivate(t, wire, fraction)
}

// ParsePublicFile reads a public heartbeat file.
func ParsePublicFile(b []byte) (heartbeat.Prover, error) {
	_, t, wire, err := parseFile(b)
	if err != nil {
		return nil, err
	}
	return ParsePublic(t, wire)
}

func (f file) marshal() []byte {
	b, err := json.Marshal(f)
	if err != nil {
		panic(err) // not possible: a heartbeat's wire form is JSON
	}
	return b
}

func parseFile(b []byte) (object strictjson.Value, t heartbeat.Type, wire json.RawMessage, err error) {
	if object, err = strictjson.Parse(b); err != nil {
		return nil, "", nil, malformed(err)
	}
	name, err := object.String("type")
	if err != nil {
		return nil, "", nil, malformed(err)
	}
	member, err := object.Member("heartbeat")
	if err != nil {
		return nil, "", nil, malformed(err)
	}
	return object, heartbeat.Type(name), json.RawMessage(member), nil
}

func malformed(err error) error {
	return fmt.Errorf("%w heartbeat file: %w", heartbeat.ErrMalformed, err)
}
