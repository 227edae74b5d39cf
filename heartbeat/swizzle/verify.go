package swizzle

import (
	"crypto/rand"
	"errors"
	"math/big"

	"github.com/driveshare/downstream-node/heartbeat/internal/sha256x"
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

	work := scratches.Get().(*scratch)
	defer scratches.Put(work)
	return h.rightSide(s, c, p, work).Cmp(new(big.Int).SetBytes(p.sigma)) == 0, nil
}

// rightSide is what sigma should be.
func (h *Heartbeat) rightSide(s fileState, c fileChallenge, p proof, work *scratch) *big.Int {
	size := h.pSize()
	work.sums.Reset(1, size, size)
	work.f.set(&s.f, h.p)
	work.secrets = sized(work.secrets, batch*size)
	for indices, v := range c.chosen(s.n, work) {
		digests := work.digests[:len(indices)]
		sha256x.SumU32(digests, indices)
		work.f.draw(work.secrets, digests)
		work.sums.Add(v, work.secrets)
	}
	work.alphas = sized(work.alphas, h.sectors*size)
	h.drawAlphas(work.alphas, &work.alpha, s)
	work.mus = sized(work.mus, h.sectors*size)
	for j, mu := range p.mu {
		fit(work.mus[j*size:][:size], mu, h.p)
	}
	work.sums.Add(work.alphas, work.mus)
	return work.sums.Mod(0, h.p)
}
