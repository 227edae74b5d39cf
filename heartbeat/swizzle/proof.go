package swizzle

import "math/big"

// proof answers a challenge: mu_j for each sector, and sigma, all big-endian.
// The numbers of a proof that was parsed can be larger than p.
type proof struct {
	mu    [][]byte
	sigma []byte
}

func (p proof) marshal() []byte {
	b := appendU32(nil, uint32(len(p.mu)))
	for _, mu := range p.mu {
		b = appendInteger(b, mu)
	}
	return appendInteger(b, p.sigma)
}

// parseProof reads a proof of any number of sectors, which shares the memory
// of b.
func parseProof(b []byte) (proof, error) {
	d := decoder{rest: b}
	// An integer is 5 bytes at least, so what follows cannot allocate more
	// than in proportion to the input.
	sectors := d.u32()
	if d.err == nil && uint64(sectors) > uint64(len(d.rest)/5) {
		return proof{}, errShort
	}
	p := proof{mu: make([][]byte, sectors)}
	for j := range p.mu {
		p.mu[j] = d.integer()
	}
	p.sigma = d.integer()
	return p, d.end()
}

// fit sets dst to the big-endian number b, modulo p where it is too long. As
// many bytes as p has are always enough.
func fit(dst, b []byte, p *big.Int) {
	if len(b) > len(dst) {
		n := new(big.Int).SetBytes(b)
		n.Mod(n, p).FillBytes(dst)
		return
	}
	clear(dst[:len(dst)-len(b)])
	copy(dst[len(dst)-len(b):], b)
}
