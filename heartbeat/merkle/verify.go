package merkle

import (
	"fmt"

	"github.com/driveshare/downstream-node/heartbeat"
)

// Challenge discloses the seed of the next leaf, and gives
// heartbeat.ErrNoMoreChallenges after the last.
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

// Verify says whether proof is the leaf that challenge names and the whole
// branch from there to the state's root. Bytes that are not a proof at all are
// not valid.
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
