package wide

import (
	"math/big"
	"slices"
)

// sum adds up numbers and products without reducing on the way, which even for
// the 2^32 terms that a proof can have costs half a word. The zero value is 0.
// Once its memory has grown it allocates no more.
type sum struct {
	total, product, factor big.Int
}

// addMul sets s = s + a*b, b being big-endian.
func (s *sum) addMul(a *big.Int, b []byte) {
	s.product.Mul(a, s.factor.SetBytes(b))
	s.total.Add(&s.total, &s.product)
}

// mod sets z = s mod p and s = 0.
func (s *sum) mod(z, p *big.Int) {
	// The quotient is not wanted; product's memory is at hand for it.
	s.product.QuoRem(&s.total, p, z)
	s.total.SetInt64(0)
}

type portableSums struct {
	columns []sum
	a       big.Int
}

func (s *portableSums) reset(count int) {
	s.columns = slices.Grow(s.columns[:0], count)[:count]
	for j := range s.columns {
		s.columns[j].total.SetInt64(0)
	}
}

func (s *portableSums) add(a, b []byte, aSize, bSize int) {
	for ; len(a) > 0; a = a[aSize:] {
		s.a.SetBytes(a[:aSize])
		for j := range s.columns {
			s.columns[j].addMul(&s.a, b[:bSize])
			b = b[bSize:]
		}
	}
}

type portableDot struct {
	p    *big.Int
	a    []*big.Int
	sum  sum
	z    big.Int
	size int // bytes of p
}

func (d *portableDot) add(z, b []byte, bSize int) {
	for ; len(z) > 0; z = z[d.size:] {
		d.sum.total.SetBytes(z[:d.size])
		for _, a := range d.a {
			d.sum.addMul(a, b[:bSize])
			b = b[bSize:]
		}
		d.sum.mod(&d.z, d.p)
		d.z.FillBytes(z[:d.size])
	}
}
