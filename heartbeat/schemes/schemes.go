package schemes

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/merkle"
	"github.com/driveshare/downstream-node/heartbeat/swizzle"
)

// New returns a heartbeat with random keys. A challenge covers checkFraction of a
// file, from 0 to 1. nil means 8192 bytes for Merkle and
// swizzle.DefaultCheckFraction for Swizzle. To find Swizzle's prime takes some
// tenths of a second.
func New(t heartbeat.Type, checkFraction *float64) (heartbeat.Heartbeat, error) {
	switch t {
	case heartbeat.Merkle:
		return orError(merkle.New(checkFraction))
	case heartbeat.Swizzle:
		return orError(swizzle.New(swizzleFraction(checkFraction)))
	}
	return nil, unknown(t)
}

// ParsePrivate parses the wire form of a private heartbeat. checkFraction, unless
// nil, replaces the one in Merkle's wire form. Swizzle's has none, and nil means
// swizzle.DefaultCheckFraction. If wire cannot be parsed or t is unknown, the error
// wraps heartbeat.ErrMalformed.
func ParsePrivate(t heartbeat.Type, wire json.RawMessage, checkFraction *float64) (heartbeat.Heartbeat, error) {
	switch t {
	case heartbeat.Merkle:
		h, err := merkle.Parse(wire)
		if err == nil && checkFraction != nil {
			h, err = h.WithCheckFraction(checkFraction)
		}
		return orError(h, err)
	case heartbeat.Swizzle:
		return orError(swizzle.Parse(wire, swizzleFraction(checkFraction)))
	}
	return nil, unknown(t)
}

// ParsePublic parses the wire form of a public heartbeat. Its errors wrap
// heartbeat.ErrMalformed.
func ParsePublic(t heartbeat.Type, wire json.RawMessage) (heartbeat.Prover, error) {
	switch t {
	case heartbeat.Merkle:
		p, err := merkle.ParsePublic(wire)
		if err != nil {
			return nil, err
		}
		return p, nil
	case heartbeat.Swizzle:
		p, err := swizzle.ParsePublic(wire)
		if err != nil {
			return nil, err
		}
		return p, nil
	}
	return nil, unknown(t)
}

// Fingerprint returns a name for a heartbeat's keys that does not disclose them:
// the SHA-256, in hex, of the type, a line feed, and the private wire form. A check
// fraction is not a key, so Merkle's wire form is the one without it.
func Fingerprint(h heartbeat.Heartbeat) string {
	private := h.Private()
	if m, ok := h.(*merkle.Heartbeat); ok {
		bare, err := m.WithCheckFraction(nil)
		if err != nil {
			panic(err) // not possible: nil is a check fraction
		}
		private = bare.Private()
	}
	sum := sha256.Sum256(append([]byte(h.Type()+"\n"), private...))
	return hex.EncodeToString(sum[:])
}

// orError returns a nil interface if there is an error, not a nil pointer in it.
func orError[H heartbeat.Heartbeat](h H, err error) (heartbeat.Heartbeat, error) {
	if err != nil {
		return nil, err
	}
	return h, nil
}

func swizzleFraction(checkFraction *float64) float64 {
	if checkFraction == nil {
		return swizzle.DefaultCheckFraction
	}
	return *checkFraction
}

func unknown(t heartbeat.Type) error {
	return fmt.Errorf("%w heartbeat: type %q, want %q or %q", heartbeat.ErrMalformed, t, heartbeat.Merkle, heartbeat.Swizzle)
}
