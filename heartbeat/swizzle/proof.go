package swizzle

import "math/big"

// proof answers a challenge: mu_j for each sector, and sigma. The numbers of a
// proof that was parsed can be larger than p.
type proof struct {
	mu    []*big.Int
	sigma *big.Int
}

func (p proof) marshal() []byte {
	b := appendU32(nil, uint32(len(p.mu)))
	for _, mu := range p.mu {
		b = appendInteger(b, mu)
	}
	return appendInteger(b, p.sigma)
}

// parseProof reads a proof of any number of sectors.
func parseProof(b []byte) (proof, error) {
	d := decoder{rest: b}
	// An integer is 5 bytes at least, so what follows cannot allocate more
	// than the input accounts for.
	sectors := d.u32()
	if d.err == nil && uint64(sectors) > uint64(len(d.rest)/5) {
		return proof{}, errShort
	}
	p := proof{mu: make([]*big.Int, sectors)}
	for j := range p.mu {
		p.mu[j] = new(big.Int).SetBytes(d.integer())
	}
	p.sigma = new(big.Int).SetBytes(d.integer())
	return p, d.end()
}
