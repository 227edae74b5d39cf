package heartbeat

import (
	"context"
	"encoding/json"
	"errors"
	"io"
)

// Type names a scheme as the wire does.
type Type string

// The schemes that farmers in the field speak.
const (
	Merkle  Type = "Merkle"
	Swizzle Type = "Swizzle"
)

var (
	// ErrNoMoreChallenges is returned by Challenge once every challenge that
	// the state holds has been issued.
	ErrNoMoreChallenges = errors.New("no more challenges")

	// ErrMalformed is wrapped by every error about bytes that are not the
	// object that they should be. It is the sender's error.
	ErrMalformed = errors.New("malformed")
)

// Heartbeat is the node's side of a scheme: it holds the secret keys. It is
// safe for concurrent use.
type Heartbeat interface {
	Wire

	// Type names the scheme.
	Type() Type

	// Public is the wire form of what a farmer is told.
	Public() json.RawMessage

	// Private is the wire form with the secret keys in it.
	Private() json.RawMessage

	// Encode reads the size bytes of file, writes the binary tag to tag and
	// returns the state that Challenge and Verify need. Memory does not grow
	// with the file.
	Encode(ctx context.Context, file io.ReaderAt, size int64, tag io.Writer, opt EncodeOptions) (state []byte, err error)

	// Challenge makes the next challenge and the state to keep after it. The
	// state that it was given stays valid for challenges issued before.
	Challenge(state []byte) (challenge, next []byte, err error)

	// Verify says whether proof answers challenge. An error means that the
	// node's own state or challenge is broken, and so nothing about the proof.
	Verify(state, challenge, proof []byte) (valid bool, err error)
}

// EncodeOptions are the choices of one encoding. The zero value takes the
// protocol's defaults and fresh randomness.
type EncodeOptions struct {
	// Challenges is how many challenges a Merkle tag holds; 0 means 256.
	Challenges int
	// RootSeed is the 32 bytes that a Merkle file's seeds start from; nil
	// means random ones.
	RootSeed []byte
	// ChunkSize is the bytes that one Merkle challenge covers, in place of
	// what follows from the check fraction; nil means no such override. It is
	// a pointer because 0 is a size of its own: a challenge of no bytes, which
	// proves nothing and which tags of the old node can have.
	ChunkSize *int64
	// Content, where it is not nil, is written the whole file, in order and
	// once, while it is encoded: a hash, say, that names the file. Swizzle
	// reads the file for both at once.
	Content io.Writer
}

// Prover is the farmer's side of a scheme, made from a public heartbeat. It is
// safe for concurrent use.
type Prover interface {
	Wire

	// Type names the scheme.
	Type() Type

	// Prove answers challenge for a file of size bytes and its tag.
	Prove(ctx context.Context, file io.ReaderAt, size int64, tag, challenge []byte) (proof []byte, err error)
}

// Wire turns objects from their binary form into JSON and back. What a parse
// method refuses, it refuses with ErrMalformed.
type Wire interface {
	// WriteTagJSON writes the wire form of the binary tag read from tag,
	// holding only a small part of it at a time. What is in the buffer of a
	// bufio.Writer is left for the caller to flush.
	WriteTagJSON(w io.Writer, tag io.Reader) error
	ParseTag(wire json.RawMessage) (tag []byte, err error)

	ChallengeJSON(challenge []byte) (json.RawMessage, error)
	ParseChallenge(wire json.RawMessage) (challenge []byte, err error)

	// ParseProof gives the one binary form of a proof, whatever the order of
	// members or the white space it came in: equal proofs are equal bytes.
	ProofJSON(proof []byte) (json.RawMessage, error)
	ParseProof(wire json.RawMessage) (proof []byte, err error)
}
