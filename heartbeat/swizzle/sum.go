package swizzle

import "math/big"

// sum adds up numbers and products without reducing on the way, which even for
// the 2^32 terms that a proof can have costs half a word; mod reduces once, at
// the end. The zero value is 0. Once its memory has grown it allocates no more.
type sum struct {
	total   big.Int
	product big.Int
	factor  big.Int
}

// add sets s = s + a.
func (s *sum) add(a *big.Int) { s.total.Add(&s.total, a) }

// addMul sets s = s + a*b.
func (s *sum) addMul(a, b *big.Int) {
	s.product.Mul(a, b)
	s.total.Add(&s.total, &s.product)
}

// addMulBytes sets s = s + a*b, b being a big-endian number.
func (s *sum) addMulBytes(a *big.Int, b []byte) {
	s.addMul(a, s.factor.SetBytes(b))
}

// mod sets z = s mod p, and s to 0, and gives z. It must not be given a part
// of s as z.
func (s *sum) mod(z, p *big.Int) *big.Int {
	// The quotient is not wanted; product's memory is at hand for it.
	s.product.QuoRem(&s.total, p, z)
	s.total.SetInt64(0)
	return z
}

// addChunk sets s = s + sum_j coefficients[j]*m_j, m_j being the sectors of
// chunk: sectorSize bytes each, the last one present perhaps fewer.
func (s *sum) addChunk(coefficients []*big.Int, chunk []byte, sectorSize int) {
	for j := 0; len(chunk) > 0; j++ {
		n := min(sectorSize, len(chunk))
		s.addMulBytes(coefficients[j], chunk[:n])
		chunk = chunk[n:]
	}
}

// addSectors sets mu[j] = mu[j] + v*m_j, m_j being the sectors of chunk as in
// addChunk.
func addSectors(mu []sum, v *big.Int, chunk []byte, sectorSize int) {
	for j := 0; len(chunk) > 0; j++ {
		n := min(sectorSize, len(chunk))
		mu[j].addMulBytes(v, chunk[:n])
		chunk = chunk[n:]
	}
}
