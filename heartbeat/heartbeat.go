package heartbeat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Type is the name of a scheme on the wire.
type Type string

// These are the schemes that the clients of farmers support.
const (
	Merkle  Type = "Merkle"
	Swizzle Type = "Swizzle"
)

var (
	// Challenge returns ErrNoMoreChallenges if every challenge of the file has been
	// issued.
	ErrNoMoreChallenges = errors.New("no more challenges")

	// Every error about bytes that are not a valid object wraps ErrMalformed. Such
	// an error is the fault of the sender of the bytes.
	ErrMalformed = errors.New("malformed")
)

// Heartbeat is the node's side of a scheme, with the secret keys. It is safe for
// concurrent use.
type Heartbeat interface {
	Wire

	// Type returns the scheme's name.
	Type() Type

	// Public returns the wire form of the public heartbeat, for farmers.
	Public() json.RawMessage

	// Private returns the wire form of the private heartbeat, which includes the
	// secret keys.
	Private() json.RawMessage

	// Encode reads the size bytes of file and writes the binary tag to tag. It
	// returns the state that Challenge and Verify need. The amount of memory that
	// Encode uses does not depend on size.
	Encode(ctx context.Context, file io.ReaderAt, size int64, tag io.Writer, opt EncodeOptions) (state []byte, err error)

	// Challenge returns the next challenge, and the state that replaces the given
	// state. Every later state can still verify earlier challenges.
	Challenge(state []byte) (challenge, next []byte, err error)

	// MaxProof returns the maximum size in bytes of a proof's wire form, without white
	// space.
	MaxProof() int

	// Verify reports whether proof is a valid proof for challenge. An error means
	// that the node's own state or challenge is malformed. An error says nothing
	// about the proof.
	Verify(state, challenge, proof []byte) (valid bool, err error)

	// Detection returns the probability that a farmer fails at least one of the
	// first k challenges of a file of size bytes that was encoded with opt. The
	// farmer has lost the fraction lost of the file, and cannot guess what was
	// there. The schemes derive their formulas, and say which placement of the lost
	// bytes they assume.
	Detection(size int64, lost float64, k int, opt EncodeOptions) float64
}

// Target is the detection that a node wants for every file: if a farmer has lost
// the fraction Lost of a file, the farmer fails at least one of the first
// Challenges challenges with at least the probability Probability.
type Target struct {
	Lost        float64 // above 0, at most 1
	Probability float64 // above 0, below 1
	Challenges  int     // at least 1
}

// Check returns an error if a value is out of its range.
func (t Target) Check() error {
	// The conditions are negated so that NaN is out of range too.
	switch {
	case !(t.Lost > 0 && t.Lost <= 1):
		return fmt.Errorf("the lost fraction is %v; it must be above 0 and at most 1", t.Lost)
	case !(t.Probability > 0 && t.Probability < 1):
		return fmt.Errorf("the probability is %v; it must be above 0 and below 1", t.Probability)
	case t.Challenges < 1:
		return fmt.Errorf("the target allows %d challenges; it must allow at least 1", t.Challenges)
	}
	return nil
}

// EncodeOptions are the options of Encode. The zero value means the protocol's
// defaults and random seeds.
type EncodeOptions struct {
	// Challenges is the number of challenges of a Merkle tag. 0 means 256.
	Challenges int
	// RootSeed is the seed of 32 bytes from which all seeds of a Merkle file
	// follow. nil means a random seed whose challenges cover both ends of the file
	// often.
	RootSeed []byte
	// ChunkSize is the number of bytes that a Merkle challenge covers. nil means
	// the number that follows from the target or from the check fraction. 0 is valid, because tags of
	// the old node can have this size. A challenge of 0 bytes proves nothing.
	ChunkSize *int64
	// Encode writes the whole file to Content, once and in order. nil means that
	// Encode does not write the file. Content can be the hash that becomes the
	// file's name. Swizzle then reads the file only once, both for the tag and for
	// Content.
	Content io.Writer
}

// Prover is the farmer's side of a scheme. It is made from a public heartbeat, and
// it is safe for concurrent use.
type Prover interface {
	Wire

	// Type returns the scheme's name.
	Type() Type

	// Prove returns the proof for challenge, from a file of size bytes and its
	// tag.
	Prove(ctx context.Context, file io.ReaderAt, size int64, tag, challenge []byte) (proof []byte, err error)
}

// Wire converts objects between their binary form and JSON. The errors of its
// Parse methods wrap ErrMalformed.
type Wire interface {
	// WriteTagJSON reads a binary tag from tag and writes its wire form. It holds
	// only a small part of the tag at a time. If w is a bufio.Writer, the caller
	// must flush it.
	WriteTagJSON(w io.Writer, tag io.Reader) error
	ParseTag(wire json.RawMessage) (tag []byte, err error)

	ChallengeJSON(challenge []byte) (json.RawMessage, error)
	ParseChallenge(wire json.RawMessage) (challenge []byte, err error)

	// ParseProof returns the binary form of a proof. White space and the order of
	// members do not change the binary form, so equal proofs are equal bytes.
	ProofJSON(proof []byte) (json.RawMessage, error)
	ParseProof(wire json.RawMessage) (proof []byte, err error)
}
