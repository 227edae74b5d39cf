package swizzle

import (
	"crypto/rand"
	"errors"
	"math/big"

	"github.com/driveshare/downstream-node/heartbeat/internal/sha256x"
	"github.com/driveshare/downstream-node/heartbeat/internal/wide"
)

// leastChunks is the least number of chunks in a challenge, of files that have
// as many: a challenge of none is proved with no file (section 7).
const leastChunks = 16

// Challenge draws a fresh key for the next challenge. The state does not
// change and there is no last challenge.
func (h *Heartbeat) Challenge(state []byte) (challenge, next []byte, err error) {
	s, err := h.openState(state)
	if err != nil {
		return nil, nil, err
	}
	c := fileChallenge{l: challenged(h.fraction, s.n), limit: h.p}
	rand.Read(c.key[:])
	return c.marshal(), state, nil
}

// challenged is how many of n chunks a challenge covers.
func challenged(fraction float64, n uint32) uint32 {
	return max(uint32(fraction*float64(n)), min(n, leastChunks))
}

// Verify says whether proof has as many mu as there are sectors and
//
//	sigma = sum_i v_i * f(index(i)) + sum_j alpha_j * mu_j mod p.
//
// Bytes that are not a proof at all are not valid.
func (h *Heartbeat) Verify(state, challenge, proofBytes []byte) (bool, error) {
	s, err := h.openState(state)
	if err != nil {
		return false, err
	}
	c, err := parseChallenge(challenge)
	if err == nil && c.limit.Cmp(h.p) != 0 {
		err = errors.New("it was made with another heartbeat")
	}
	if err == nil && c.l == 0 {
		err = errors.New("it names no chunk, so any file would do")
	}
	if err != nil {
		return false, malformed("challenge", err)
	}
	p, err := parseProof(proofBytes)
	if err != nil || len(p.mu) != h.sectors {
		return false, nil
	}

	sums := wide.NewSums(1, h.pSize(), h.pSize())
	h.addSecrets(sums, s, c)
	mus := make([]byte, h.sectors*h.pSize())
	for j, mu := range p.mu {
		fit(mus[j*h.pSize():][:h.pSize()], mu, h.p)
	}
	sums.Add(h.alphas(s), mus)
	return sums.Mod(0, h.p).Cmp(new(big.Int).SetBytes(p.sigma)) == 0, nil
}

// addSecrets adds sum_i v_i * f(index(i)).
func (h *Heartbeat) addSecrets(sums *wide.Sums, s fileState, c fileChallenge) {
	work := scratches.Get().(*scratch)
	defer scratches.Put(work)
	f := newPRF(&s.f, h.p)
	work.secrets = sized(work.secrets, batch*f.size())
	for indices, v := range c.chosen(s.n, work) {
		digests := work.digests[:len(indices)]
		sha256x.SumU32(digests, indices)
		f.draw(work.secrets, digests)
		sums.Add(v, work.secrets)
	}
}
