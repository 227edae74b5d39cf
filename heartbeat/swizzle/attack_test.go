package swizzle

import (
	"bytes"
	"math/big"
	"testing"
)

// naiveVerify is the equation of section 5 and nothing else.
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

// The second attack of section 7: 1% of a file of fewer than 100 chunks is no
// chunk, and nothing is proved by zeros.
func TestNothingChallengedAttack(t *testing.T) {
	t.Parallel()
	h, err := sharedHeartbeat(t).WithCheckFraction(0.01)
	if err != nil {
		t.Fatal(err)
	}
	e := encode(t, h, 50*1280)
	zeros := proof{mu: make([][]byte, h.sectors)}

	naive := fileChallenge{l: uint32(h.fraction * 51), key: [keySize]byte{7}, limit: h.p}.marshal()
	if !naiveVerify(t, h, e.state, naive, zeros.marshal()) {
		t.Fatal("the attack does not even work on a challenge of 0 chunks")
	}
	if valid, err := h.Verify(e.state, naive, zeros.marshal()); valid || err == nil {
		t.Errorf("a challenge of 0 chunks was judged: %v, %v", valid, err)
	}

	challenge := e.challenge(t)
	if !naiveVerify(t, h, e.state, challenge, e.prove(t, e.file, challenge)) {
		t.Fatal("the naive verifier refuses an honest proof")
	}
	if e.verify(t, challenge, zeros.marshal()) {
		t.Error("zeros are valid")
	}
	empty := bytes.NewReader(make([]byte, e.file.Size()))
	if e.verify(t, challenge, e.prove(t, empty, challenge)) {
		t.Error("a farmer without the file has a valid proof")
	}
}

// Where the tag is of no use, one sector that is not kept must not go unseen:
// each mu counts, in each challenge of all chunks.
func TestEveryChunkCounts(t *testing.T) {
	t.Parallel()
	e := encode(t, sharedHeartbeat(t), 16*1280-1)
	content := make([]byte, e.file.Size())
	if _, err := e.file.ReadAt(content, 0); err != nil {
		t.Fatal(err)
	}
	challenge := e.challenge(t)
	for c := range 16 {
		lost := bytes.Clone(content)
		clear(lost[c*1280 : min((c+1)*1280, len(lost))])
		if e.verify(t, challenge, e.prove(t, bytes.NewReader(lost), challenge)) {
			t.Errorf("chunk %d lost: valid", c)
		}
	}
}
