package wide

import "math/big"

// Dot is the sum over j of a_j * b_j modulo p, with the same a for many b. It
// is not safe for concurrent use.
type Dot struct {
	bSize    int
	portable *portableDot
	fast     *fastDot // nil where there is no kernel for these sizes
}

// NewDot makes the function, for an odd p and b's of bSize bytes.
func NewDot(p *big.Int, a []*big.Int, bSize int) *Dot {
	size := (p.BitLen() + 7) / 8
	d := &Dot{bSize: bSize}
	if tuned && size == numberSize && bSize == numberSize && len(a) <= maxTerms {
		d.fast = newFastDot(p, a)
	} else {
		d.portable = &portableDot{p: p, a: a, size: size}
	}
	return d
}

// Add sets z_i = z_i + sum_j a_j * b_{i,j} mod p, for each i that z has a
// number of. The z_i take as many bytes as p and are below p; b has a row for
// each i, with a number for each j. All are big-endian.
func (d *Dot) Add(z, b []byte) {
	if d.fast != nil {
		d.fast.add(z, b)
	} else {
		d.portable.add(z, b, d.bSize)
	}
}

// fastDot is the sum of numbers that lanes can hold.
type fastDot struct {
	sum columns // first, where the allocator puts it on a cache line
	p   *modulus
	// a is a_j * R mod p in all eight lanes, with R = 2^1040, which reduce
	// divides by (P. L. Montgomery, "Modular multiplication without trial
	// division", 1985).
	a []lanes
}

func newFastDot(p *big.Int, a []*big.Int) *fastDot {
	d := &fastDot{p: newModulus(p), a: make([]lanes, len(a))}
	var scaled big.Int
	var b [numberSize]byte
	for j := range a {
		scaled.Lsh(a[j], rBits)
		scaled.Mod(&scaled, p).FillBytes(b[:])
		pack(&d.a[j], &b[0], 0, first(laneCount))
	}
	return d
}

// add holds to the bounds of reduce: with at most 100 a's, all below p, and
// every b below 2^1024, sum/R < 100*p*2^1024/2^1040 < p. What reduce adds to
// it makes another p, and z one more.
func (d *fastDot) add(z, b []byte) {
	row := len(d.a) * numberSize
	for len(z) > 0 {
		count := min(laneCount, len(z)/numberSize)
		clear(d.sum[:])
		for j := range d.a {
			mulAdd(&d.sum, &d.a[j], &b[j*numberSize], uint64(row), first(count))
		}
		reduce(&z[0], numberSize, first(count), &d.sum, d.p)
		z, b = z[count*numberSize:], b[count*row:]
	}
}
