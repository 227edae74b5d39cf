package merkle

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	stateVersion  = 1
	stateSize     = 1 + 4 + 4 + seedSize + hashSize
	challengeSize = 4 + seedSize
)

// fileState is what the node keeps of an encoded file. Its binary form is a
// version byte, then next and challenges as big-endian u32, then the seed and
// the root.
type fileState struct {
	// next is the index of the challenge to be issued next, challenges how
	// many there are; after the last, both are the same.
	next, challenges int
	// previous is the seed before the next challenge's: the root seed at the
	// start. The next one takes the heartbeat's key to compute, so a state
	// that leaks does not give away challenges to come.
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

// fileChallenge is one challenge. Its binary form is the index as big-endian
// u32, then the seed.
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
		return fileChallenge{}, malformed("challenge", errors.New("the index is beyond any tag's last"))
	}
	return fileChallenge{index: int(index), seed: [seedSize]byte(b[4:])}, nil
}
