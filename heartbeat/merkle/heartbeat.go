package merkle

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/internal/strictjson"
)

const (
	// hashSize is the bytes of every hash, keyed or not: SHA-256.
	hashSize = 32
	// seedSize is the bytes of a heartbeat's key, a root seed and a seed.
	seedSize = 32

	// DefaultChallenges is how many challenges a tag has where nothing else
	// is asked for.
	DefaultChallenges = 256
	// MaxChallenges is how many challenges a tag can have; its tree is then
	// 64 MiB.
	MaxChallenges = 1 << maxOrder

	maxOrder = 20
)

// Heartbeat is the node's side of the scheme. It is immutable.
type Heartbeat struct {
	Wire

	key      [seedSize]byte
	fraction *float64
}

var _ heartbeat.Heartbeat = (*Heartbeat)(nil)

// New makes a heartbeat with a fresh key. Each of its challenges covers
// checkFraction of a file, from 0 to 1, or 8192 bytes where that is nil.
func New(checkFraction *float64) (*Heartbeat, error) {
	h := new(Heartbeat)
	rand.Read(h.key[:])
	return h.WithCheckFraction(checkFraction)
}

// Parse reads the wire form of a private heartbeat.
func Parse(private json.RawMessage) (*Heartbeat, error) {
	key, fraction, err := parseHeartbeat(private)
	switch {
	case err != nil:
		return nil, malformed("private heartbeat", err)
	case len(key) == 0:
		return nil, malformed("private heartbeat", errors.New("it has no key, so it is a public one"))
	case len(key) != seedSize:
		return nil, malformed("private heartbeat", fmt.Errorf("the key is %d bytes, want %d", len(key), seedSize))
	}
	return &Heartbeat{key: [seedSize]byte(key), fraction: fraction}, nil
}

// WithCheckFraction gives a heartbeat with the same key and another check
// fraction. Both verify what the other has encoded.
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

// Type is heartbeat.Merkle.
func (h *Heartbeat) Type() heartbeat.Type { return heartbeat.Merkle }

// Public is the wire form of what a farmer is told: all but the key.
func (h *Heartbeat) Public() json.RawMessage { return marshalHeartbeat([]byte{}, h.fraction) }

// Private is the wire form with the key in it.
func (h *Heartbeat) Private() json.RawMessage { return marshalHeartbeat(h.key[:], h.fraction) }

// Prover is the farmer's side of the scheme. It holds nothing: what a farmer
// needs is in the tag and the challenge.
type Prover struct {
	Wire
}

var _ heartbeat.Prover = (*Prover)(nil)

// ParsePublic reads the wire form of a public heartbeat.
func ParsePublic(public json.RawMessage) (*Prover, error) {
	key, _, err := parseHeartbeat(public)
	if err == nil && len(key) != 0 {
		err = errors.New("it has a key, so it is a private one, which no farmer should see")
	}
	if err != nil {
		return nil, malformed("public heartbeat", err)
	}
	return &Prover{}, nil
}

// Type is heartbeat.Merkle.
func (p *Prover) Type() heartbeat.Type { return heartbeat.Merkle }

func parseHeartbeat(raw json.RawMessage) (key []byte, fraction *float64, err error) {
	object, err := strictjson.Parse(raw)
	if err != nil {
		return nil, nil, err
	}
	if key, err = object.Base64("key"); err != nil {
		return nil, nil, err
	}
	if fraction, err = object.OptionalFloat64("check_fraction"); err != nil {
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
	// Written so that NaN fails too.
	if fraction != nil && !(*fraction >= 0 && *fraction <= 1) {
		return fmt.Errorf("check fraction %v is not from 0 to 1", *fraction)
	}
	return nil
}

// malformed is the error about bytes that are not the object they should be.
func malformed(object string, err error) error {
	return &malformedError{object, err}
}

// malformedError says what it says only when asked: a node refuses many a proof
// without a word.
type malformedError struct {
	object string
	err    error
}

func (e *malformedError) Error() string {
	return fmt.Sprintf("%v %s: %v", heartbeat.ErrMalformed, e.object, e.err)
}

func (e *malformedError) Unwrap() []error { return []error{heartbeat.ErrMalformed, e.err} }

// mustMarshal is json.Marshal for values that have a JSON form by their type.
func mustMarshal(v any) json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}
