package schemes

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/merkle"
	"github.com/driveshare/downstream-node/heartbeat/swizzle"
	"github.com/driveshare/downstream-node/heartbeat/wirejson"
)

// New returns a heartbeat with random keys. A challenge covers checkFraction of a
// file, from 0 to 1. nil means 8192 bytes for Merkle and
// swizzle.DefaultCheckFraction for Swizzle. For Swizzle, it takes a few tenths of a
// second to find the prime.
func New(t heartbeat.Type, checkFraction *float64) (heartbeat.Heartbeat, error) {
	switch t {
	case heartbeat.Merkle:
		return orError(merkle.New(checkFraction))
	case heartbeat.Swizzle:
		return orError(swizzle.New(swizzleFraction(checkFraction)))
	}
	return nil, unknown(t)
}

// ParsePrivate parses the wire form of a private heartbeat. If checkFraction is not
// nil, it replaces the check fraction in Merkle's wire form. Swizzle's wire form
// has no check fraction, so nil means swizzle.DefaultCheckFraction. If wire cannot
// be parsed or t is unknown, the error wraps heartbeat.ErrMalformed.
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

// WithTarget returns a heartbeat with the same keys whose challenges reach target.
// The target replaces the check fraction, and is not part of any wire form or
// heartbeat file.
func WithTarget(h heartbeat.Heartbeat, target heartbeat.Target) (heartbeat.Heartbeat, error) {
	switch h := h.(type) {
	case *merkle.Heartbeat:
		return orError(h.WithTarget(target))
	case *swizzle.Heartbeat:
		return orError(h.WithTarget(target))
	}
	return nil, unknown(h.Type())
}

// Renew returns a heartbeat with new random keys and the same public wire form, so a
// farmer does not notice the difference.
func Renew(h heartbeat.Heartbeat) (heartbeat.Heartbeat, error) {
	switch h := h.(type) {
	case *merkle.Heartbeat:
		return h.Renew(), nil
	case *swizzle.Heartbeat:
		return h.Renew(), nil
	}
	return nil, unknown(h.Type())
}

// Resealable reports whether Reseal is possible with a scheme. The tag of a Merkle file
// depends on the key, so its state needs this key until the last challenge.
func Resealable(t heartbeat.Type) bool { return t == heartbeat.Swizzle }

// Reseal turns the state of a file that from has encoded into a state for to, which must have
// the same public wire form. It fails if the scheme is not resealable.
func Reseal(state []byte, from, to heartbeat.Heartbeat) ([]byte, error) {
	old, ok := from.(*swizzle.Heartbeat)
	other, same := to.(*swizzle.Heartbeat)
	if !ok || !same {
		return nil, fmt.Errorf("a state of %s cannot be sealed for %s", from.Type(), to.Type())
	}
	return old.Reseal(state, other)
}

// Fingerprint returns a name for the keys of a heartbeat. The name does not
// disclose the keys. It is the SHA-256, in hexadecimal, of the type, a line feed,
// and the private wire form. A check fraction is not a key, so Merkle's wire form
// is used without its check fraction.
func Fingerprint(h heartbeat.Heartbeat) string {
	private := h.Private()
	if m, ok := h.(*merkle.Heartbeat); ok {
		bare, err := m.WithCheckFraction(nil)
		if err != nil {
			panic(err) // impossible: nil is a valid check fraction
		}
		private = bare.Private()
	}
	sum := sha256.Sum256(append([]byte(h.Type()+"\n"), private...))
	return hex.EncodeToString(sum[:])
}

// If there is an error, orError returns a nil interface. It never returns an
// interface that holds a nil pointer.
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

// file is a heartbeat file.
type file struct {
	Type          heartbeat.Type  `json:"type"`
	Heartbeat     json.RawMessage `json:"heartbeat"`
	CheckFraction json.RawMessage `json:"check_fraction,omitempty"`
}

// MarshalFile returns the private heartbeat file, which is a secret.
func MarshalFile(h heartbeat.Heartbeat) []byte {
	f := file{Type: h.Type(), Heartbeat: h.Private()}
	if s, ok := h.(*swizzle.Heartbeat); ok {
		f.CheckFraction = mustMarshal(s.CheckFraction())
	}
	return mustMarshal(f)
}

// MarshalPublicFile returns the public heartbeat file. A farmer needs it to make
// proofs.
func MarshalPublicFile(h heartbeat.Heartbeat) []byte {
	return mustMarshal(file{Type: h.Type(), Heartbeat: h.Public()})
}

// ParseFile parses a private heartbeat file. It passes the member "check_fraction"
// to ParsePrivate as checkFraction.
func ParseFile(b []byte) (heartbeat.Heartbeat, error) {
	f, err := parseFile(b)
	if err != nil {
		return nil, malformed(err)
	}
	var fraction *float64
	if f.CheckFraction != nil {
		in := wirejson.Of(f.CheckFraction)
		if fraction, err = in.OptionalFloat64(); err != nil {
			return nil, malformed(fmt.Errorf("check_fraction: %w", err))
		}
	}
	return ParsePrivate(f.Type, f.Heartbeat, fraction)
}

// ParsePublicFile parses a public heartbeat file.
func ParsePublicFile(b []byte) (heartbeat.Prover, error) {
	f, err := parseFile(b)
	if err != nil {
		return nil, malformed(err)
	}
	return ParsePublic(f.Type, f.Heartbeat)
}

func parseFile(b []byte) (f file, err error) {
	in := wirejson.Of(b)
	in.Object(func(name []byte) (err error) {
		switch string(name) {
		case "type":
			var text string
			text, _, err = in.String()
			f.Type = heartbeat.Type(text)
		case "heartbeat":
			f.Heartbeat, err = in.Value()
		case "check_fraction":
			f.CheckFraction, err = in.Value()
		default:
			err = in.Skip()
		}
		return err
	})
	err = in.End()
	if err == nil && (f.Type == "" || f.Heartbeat == nil) {
		err = errors.New(`"type" or "heartbeat" is missing`)
	}
	return f, err
}

func mustMarshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // impossible: the wire form of a heartbeat is JSON
	}
	return b
}

func malformed(err error) error {
	return fmt.Errorf("%w heartbeat file: %w", heartbeat.ErrMalformed, err)
}
