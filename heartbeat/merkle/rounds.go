package merkle

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/driveshare/downstream-node/heartbeat"
)

// Challenge implements heartbeat.Heartbeat. It discloses the seed of the next
// leaf. After the last leaf it returns heartbeat.ErrNoMoreChallenges.
func (h *Heartbeat) Challenge(state []byte) (challenge, next []byte, err error) {
	s, err := parseState(state)
	if err != nil {
		return nil, nil, err
	}
	if s.next == s.challenges {
		return nil, nil, heartbeat.ErrNoMoreChallenges
	}
	issued := fileChallenge{index: s.next, seed: nextSeed(h.key, s.previous)}
	s.next++
	s.previous = issued.seed
	return issued.marshal(), s.marshal(), nil
}

// Prove implements heartbeat.Prover. It reads the part of the file that the
// challenge covers. It returns ErrMalformed if the tag or the challenge cannot
// be parsed, or if they do not belong to a file of size bytes or to each other.
func (p *Prover) Prove(ctx context.Context, file io.ReaderAt, size int64, tag, challenge []byte) ([]byte, error) {
	t, err := parseTag(tag)
	if err != nil {
		return nil, err
	}
	if t.size != size {
		return nil, malformed("tag", fmt.Errorf("it is for a file of %d bytes, and this one has %d", t.size, size))
	}
	c, err := parseChallenge(challenge)
	if err != nil {
		return nil, err
	}
	if c.index >= t.tree.leaves() {
		return nil, malformed("challenge", fmt.Errorf("index %d, and the tag has %d challenges", c.index, t.tree.leaves()))
	}
	blob, err := blobOf(ctx, file, t.size, t.chunk, c.seed)
	if err != nil {
		return nil, fmt.Errorf("merkle: prove challenge %d: %w", c.index, err)
	}
	return proof{index: int64(c.index), blob: blob, rows: t.tree.branch(c.index)}.marshal(), nil
}

// Verify implements heartbeat.Heartbeat. A proof is valid if it consists of the
// leaf that challenge names and of the complete branch from this leaf to the
// state's root. Bytes that cannot be parsed as a proof are an invalid proof.
func (h *Heartbeat) Verify(state, challenge, proofBytes []byte) (bool, error) {
	s, err := parseState(state)
	if err != nil {
		return false, err
	}
	c, err := parseChallenge(challenge)
	if err != nil {
		return false, err
	}
	if c.index >= s.challenges {
		return false, malformed("challenge", fmt.Errorf("index %d, and the state has %d challenges", c.index, s.challenges))
	}
	var rows [maxRows][2][]byte
	p, err := parseProof(proofBytes, rows[:0])
	if err != nil || p.index != int64(c.index) || len(p.blob) != hashSize {
		return false, nil
	}
	return validBranch(s.root, orderOf(s.challenges), p.index, leafHash(p.blob, p.index), p.rows), nil
}

const (
	stateVersion  = 1
	stateSize     = 1 + 4 + 4 + seedSize + hashSize
	challengeSize = 4 + seedSize
)

// fileState is the data that the node stores about an encoded file. Its binary form
// is a version byte, next and challenges as big-endian u32, previous, and root.
type fileState struct {
	// next is the index of the next challenge. challenges is the number of
	// challenges. After the last challenge, next equals challenges.
	next, challenges int
	// previous is the seed before the seed of the next challenge. At first it is
	// the root seed. Only the owner of the heartbeat's key can compute the next
	// seed from previous, so a leaked state does not disclose future challenges.
	previous [seedSize]byte
	root     [hashSize]byte
}

func (s fileState) marshal() []byte {
	b := make([]byte, 0, stateSize)
	b = append(b, stateVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(s.next))
	b = binary.BigEndian.AppendUint32(b, uint32(s.challenges))
	b = append(b, s.previous[:]...)
	return append(b, s.root[:]...)
}

func parseState(b []byte) (fileState, error) {
	if len(b) != stateSize {
		return fileState{}, malformed("state", fmt.Errorf("%d bytes, want %d", len(b), stateSize))
	}
	if b[0] != stateVersion {
		return fileState{}, malformed("state", fmt.Errorf("version %d, want %d", b[0], stateVersion))
	}
	next, challenges := binary.BigEndian.Uint32(b[1:]), binary.BigEndian.Uint32(b[5:])
	if challenges < 1 || challenges > MaxChallenges || next > challenges {
		return fileState{}, malformed("state", fmt.Errorf("challenge %d of %d", next, challenges))
	}
	return fileState{
		next:       int(next),
		challenges: int(challenges),
		previous:   [seedSize]byte(b[9:]),
		root:       [hashSize]byte(b[9+seedSize:]),
	}, nil
}

// fileChallenge is one challenge. Its binary form is the index as big-endian u32,
// and then the seed.
type fileChallenge struct {
	index int
	seed  [seedSize]byte
}

func (c fileChallenge) marshal() []byte {
	b := make([]byte, 0, challengeSize)
	b = binary.BigEndian.AppendUint32(b, uint32(c.index))
	return append(b, c.seed[:]...)
}

func parseChallenge(b []byte) (fileChallenge, error) {
	if len(b) != challengeSize {
		return fileChallenge{}, malformed("challenge", fmt.Errorf("%d bytes, want %d", len(b), challengeSize))
	}
	index := binary.BigEndian.Uint32(b)
	if index >= MaxChallenges {
		return fileChallenge{}, malformed("challenge", errors.New("the index is beyond the last of any tag"))
	}
	return fileChallenge{index: int(index), seed: [seedSize]byte(b[4:])}, nil
}
