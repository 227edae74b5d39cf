package merkle

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/wirejson"
)

const (
	hashSize = 32 // bytes of a SHA-256 or HMAC-SHA256
	seedSize = 32 // bytes of a heartbeat's key, a root seed or a seed

	// DefaultChallenges is the number of challenges of a tag if EncodeOptions sets
	// no number.
	DefaultChallenges = 256
	// MaxChallenges is the maximum number of challenges of a tag. The tree of a tag
	// with MaxChallenges has 64 MiB.
	MaxChallenges = 1 << maxOrder

	maxOrder = 20
)

// Heartbeat is the node's side of the scheme. It is immutable.
type Heartbeat struct {
	Wire

	key      [seedSize]byte
	fraction *float64
	plan     *plan // if not nil, it replaces fraction
}

var _ heartbeat.Heartbeat = (*Heartbeat)(nil)

// New returns a heartbeat with a random key. checkFraction is the fraction of a
// file that a challenge covers, from 0 to 1. A challenge covers at least 32 bytes.
// If checkFraction is nil, a challenge covers 8192 bytes. No challenge covers more
// than the file.
func New(checkFraction *float64) (*Heartbeat, error) {
	h := new(Heartbeat)
	rand.Read(h.key[:])
	return h.WithCheckFraction(checkFraction)
}

// Parse parses the wire form of a private heartbeat. Its errors wrap
// heartbeat.ErrMalformed.
func Parse(private json.RawMessage) (*Heartbeat, error) {
	key, fraction, err := parseHeartbeat(private)
	switch {
	case err != nil:
		return nil, malformed("private heartbeat", err)
	case len(key) == 0:
		return nil, malformed("private heartbeat", errors.New("it has no key, so it is a public heartbeat; use the private one"))
	case len(key) != seedSize:
		return nil, malformed("private heartbeat", fmt.Errorf("the key is %d bytes, want %d", len(key), seedSize))
	}
	return &Heartbeat{key: [seedSize]byte(key), fraction: fraction}, nil
}

// WithCheckFraction returns a heartbeat with the same key and another check
// fraction, as in New. Each of the two heartbeats can verify proofs for files that
// the other heartbeat has encoded.
func (h *Heartbeat) WithCheckFraction(checkFraction *float64) (*Heartbeat, error) {
	if err := checkRange(checkFraction); err != nil {
		return nil, fmt.Errorf("merkle: %w", err)
	}
	other := &Heartbeat{key: h.key}
	if checkFraction != nil {
		fraction := *checkFraction
		other.fraction = &fraction
	}
	return other, nil
}

// Renew returns a heartbeat with a new random key and the same public wire form.
func (h *Heartbeat) Renew() *Heartbeat {
	other := *h
	rand.Read(other.key[:])
	return &other
}

// Type returns heartbeat.Merkle.
func (h *Heartbeat) Type() heartbeat.Type { return heartbeat.Merkle }

// Public returns the public wire form, which contains everything except for the
// key.
func (h *Heartbeat) Public() json.RawMessage { return marshalHeartbeat([]byte{}, h.fraction) }

// Private returns the private wire form, which includes the key.
func (h *Heartbeat) Private() json.RawMessage { return marshalHeartbeat(h.key[:], h.fraction) }

// Prover is the farmer's side of the scheme. It holds no data, because the tag and
// the challenge contain all data that a farmer needs.
type Prover struct {
	Wire
}

var _ heartbeat.Prover = (*Prover)(nil)

// ParsePublic parses the wire form of a public heartbeat. Its errors wrap
// heartbeat.ErrMalformed.
func ParsePublic(public json.RawMessage) (*Prover, error) {
	key, _, err := parseHeartbeat(public)
	if err == nil && len(key) != 0 {
		err = errors.New("it has a key, so it is a private heartbeat; use the public one")
	}
	if err != nil {
		return nil, malformed("public heartbeat", err)
	}
	return &Prover{}, nil
}

// Type returns heartbeat.Merkle.
func (p *Prover) Type() heartbeat.Type { return heartbeat.Merkle }

func parseHeartbeat(raw json.RawMessage) (key []byte, fraction *float64, err error) {
	in := wirejson.Of(raw)
	in.Members(func(i int) (err error) {
		if i == 0 {
			key, err = in.AppendBase64(nil, maxEntry)
		} else {
			fraction, err = in.OptionalFloat64()
		}
		return err
	}, "key", "check_fraction")
	if err := in.End(); err != nil {
		return nil, nil, err
	}
	return key, fraction, checkRange(fraction)
}

func marshalHeartbeat(key []byte, fraction *float64) json.RawMessage {
	return mustMarshal(struct {
		Key           []byte   `json:"key"`
		CheckFraction *float64 `json:"check_fraction"`
	}{key, fraction})
}

func checkRange(fraction *float64) error {
	// The condition is negated so that NaN is out of range too.
	if fraction != nil && !(*fraction >= 0 && *fraction <= 1) {
		return fmt.Errorf("check fraction %v is not from 0 to 1", *fraction)
	}
	return nil
}

// malformed returns the error about bytes that are not a valid object.
func malformed(object string, err error) error {
	return &malformedError{object, err}
}

// malformedError formats its message only when the message is read. A node rejects
// many proofs and does not read these messages.
type malformedError struct {
	object string
	err    error
}

func (e *malformedError) Error() string {
	return fmt.Sprintf("%v %s: %v", heartbeat.ErrMalformed, e.object, e.err)
}

func (e *malformedError) Unwrap() []error { return []error{heartbeat.ErrMalformed, e.err} }

// mustMarshal is json.Marshal for types that can always be encoded as JSON.
func mustMarshal(v any) json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}
