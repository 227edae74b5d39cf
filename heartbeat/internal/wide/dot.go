package wide

import (
	"math/big"

	"github.com/driveshare/downstream-node/heartbeat/internal/kernel"
)

// Dot computes the sum over j of a_j * b_j modulo p, with the same a for many b. It
// is not safe for concurrent use.
type Dot struct {
	columns columns // the first field, so that the allocator aligns it to a cache line
	// If a kernel computes these sizes, lanes holds a_j * R mod p in all eight
	// lanes. R is 2^1040, the number by which reduce divides (P. L. Montgomery,
	// "Modular multiplication without trial division", 1985).
	lanes   []lanes
	modulus *modulus // nil if math/big computes the sum

	p           *big.Int
	a           []*big.Int
	sum         sum
	z           big.Int
	size, bSize int // number of bytes in p and in each b_j
}

// NewDot returns the Dot for an odd p and for b of bSize bytes.
func NewDot(p *big.Int, a []*big.Int, bSize int) *Dot {
	d := &Dot{p: p, a: a, size: (p.BitLen() + 7) / 8, bSize: bSize}
	if Kernels.InUse() != kernel.IFMA || d.size != numberSize || bSize != numberSize || len(a) > maxTerms {
		return d
	}
	d.modulus, d.lanes = newModulus(p), make([]lanes, len(a))
	var scaled big.Int
	var b [numberSize]byte
	for j := range a {
		scaled.Lsh(a[j], rBits)
		scaled.Mod(&scaled, p).FillBytes(b[:])
		pack(&d.lanes[j], &b[0], 0, first(laneCount))
	}
	return d
}

// Add sets z_i = z_i + sum_j a_j * b_{i,j} mod p for each number z_i in z. Each z_i
// must be below p and must have as many bytes as p. b holds one row for each i, and
// each row has one number per j.
func (d *Dot) Add(z, b []byte) {
	if d.modulus != nil {
		d.addLanes(z, b)
		return
	}
	for ; len(z) > 0; z = z[d.size:] {
		d.sum.total.SetBytes(z[:d.size])
		for _, a := range d.a {
			d.sum.addMul(a, b[:d.bSize])
			b = b[d.bSize:]
		}
		d.sum.mod(&d.z, d.p)
		d.z.FillBytes(z[:d.size])
	}
}

// addLanes must keep the result below 3p, as reduce requires. There are at most 100
// a_j. Each a_j is below p and each b is below 2^1024. So sum/R <
// 100*p*2^1024/2^1040 < p. The division adds at most another p, and z is below p.
func (d *Dot) addLanes(z, b []byte) {
	row := len(d.lanes) * numberSize
	for len(z) > 0 {
		count := min(laneCount, len(z)/numberSize)
		clear(d.columns[:])
		for j := range d.lanes {
			mulAdd(&d.columns, &d.lanes[j], &b[j*numberSize], uint64(row), first(count))
		}
		reduce(&z[0], numberSize, first(count), &d.columns, d.modulus)
		z, b = z[count*numberSize:], b[count*row:]
	}
}
