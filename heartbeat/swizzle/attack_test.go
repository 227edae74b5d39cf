package swizzle

import (
	"bytes"
	"math/big"
	"testing"
)

// naiveVerify checks only the equation of PROTOCOL.md, section 5.
func naiveVerify(t *testing.T, h *Heartbeat, state, challenge, proofBytes []byte) bool {
	t.Helper()
	s, err := h.openState(state)
	if err != nil {
		t.Fatal(err)
	}
	c, err := parseChallenge(challenge)
	if err != nil {
		t.Fatal(err)
	}
	p, err := parseProof(proofBytes)
	if err != nil {
		t.Fatal(err)
	}
	right := new(big.Int)
	for i := range min(c.l, s.n) {
		index := i
		if c.l < s.n {
			index = uint32(naivePRF(c.key, big.NewInt(int64(s.n)), i).Uint64())
		}
		v := naivePRF(c.key, c.limit, i)
		right.Add(right, v.Mul(v, naivePRF(s.f, h.p, index)))
	}
	for j, mu := range p.mu {
		alpha := naivePRF(s.alpha, h.p, uint32(j))
		right.Add(right, alpha.Mul(alpha, new(big.Int).SetBytes(mu)))
	}
	sigma := new(big.Int).SetBytes(p.sigma)
	return len(p.mu) == h.sectors && right.Mod(right, h.p).Cmp(sigma) == 0
}

// This test makes the second attack of PROTOCOL.md, section 7. 1% of fewer than 100
// chunks is no chunk. For a challenge of no chunks, zeros are a valid proof.
func TestNothingChallengedAttackFails(t *testing.T) {
	t.Parallel()
	h, err := sharedHeartbeat(t).WithCheckFraction(0.01)
	if err != nil {
		t.Fatal(err)
	}
	f := encode(t, h, 50*1280)
	zeros := proof{mu: make([][]byte, h.sectors)}

	naive := fileChallenge{l: uint32(h.fraction * 51), key: [keySize]byte{7}, limit: h.p}.marshal()
	if !naiveVerify(t, h, f.State, naive, zeros.marshal()) {
		t.Fatal("the attack fails on a challenge of 0 chunks too")
	}
	if valid, err := h.Verify(f.State, naive, zeros.marshal()); valid || err == nil {
		t.Errorf("a challenge of 0 chunks has a verdict: %v, %v", valid, err)
	}

	challenge := f.Challenge(t)
	if !naiveVerify(t, h, f.State, challenge, f.Prove(t, challenge)) {
		t.Fatal("the naive verifier rejects an honest proof")
	}
	if f.Verify(t, challenge, zeros.marshal()) {
		t.Error("zeros are valid")
	}
	empty := bytes.NewReader(make([]byte, f.Content.Size()))
	if f.Verify(t, challenge, f.ProveWith(t, empty, challenge)) {
		t.Error("a farmer without the file has a valid proof")
	}
}

// If a challenge covers all chunks, a farmer who has lost one chunk must have no
// valid proof.
func TestProofWithoutAChunkIsInvalid(t *testing.T) {
	t.Parallel()
	f := encode(t, sharedHeartbeat(t), 16*1280-1)
	content := make([]byte, f.Content.Size())
	if _, err := f.Content.ReadAt(content, 0); err != nil {
		t.Fatal(err)
	}
	challenge := f.Challenge(t)
	for c := range 16 {
		lost := bytes.Clone(content)
		clear(lost[c*1280 : min((c+1)*1280, len(lost))])
		if f.Verify(t, challenge, f.ProveWith(t, bytes.NewReader(lost), challenge)) {
			t.Errorf("chunk %d was lost, but the proof is valid", c)
		}
	}
}
