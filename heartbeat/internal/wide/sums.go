// Package wide is the arithmetic of Swizzle (PROTOCOL.md, section 5): sums of
// products of large numbers that are not negative. [Sums] adds over many chunks
// and reduces once, at the end; proofs consist of such sums. [Dot] adds over the
// sectors of one chunk, which makes the chunk's authenticator.
//
// Numbers are bytes, big-endian and without gaps, as in files and proofs. If
// they are of 1024 bits, kernels for AVX-512 with IFMA, the multiplication and
// addition of 52-bit numbers, compute eight of them at a time, each in the same
// lane of 20 vectors. For numbers of other sizes, on other processors and with
// the build tag purego, math/big computes them.
//
// The invariant: both return the same results.
//
//go:generate go run -C ../../_asm ./wide -out ../internal/wide/ifma_amd64.s -stubs ../internal/wide/ifma_amd64.go -pkg wide
package wide

import (
	"math/big"
	"slices"

	"github.com/driveshare/downstream-node/heartbeat/internal/kernel"
)

// Kernels is the choice of the kernel that new sums compute with.
var Kernels = kernel.Choose(kernel.IFMA)

// Sums holds one sum over i of a_i * b_{i,j} for each column j. It is not safe
// for concurrent use.
type Sums struct {
	// On lanes, each lane of a column sums over every eighth i; total adds the
	// lanes, so it does not matter which.
	a       lanes // first, so that the allocator aligns it to cache lines
	columns []columns
	terms   int // since the last carry

	tuned        bool  // whether the sums are in columns, or in portable
	portable     []sum // on math/big
	factor       big.Int
	aSize, bSize int
}

// NewSums returns count sums of 0, for a of aSize bytes and b of bSize bytes.
// The number of terms is not limited.
func NewSums(count, aSize, bSize int) *Sums {
	s := new(Sums)
	s.Reset(count, aSize, bSize)
	return s
}

// Reset makes s what NewSums returns, in the memory that s already has.
func (s *Sums) Reset(count, aSize, bSize int) {
	s.tuned = Kernels.InUse() == kernel.IFMA && aSize == numberSize && bSize == numberSize
	s.aSize, s.bSize = aSize, bSize
	if s.tuned {
		s.columns = slices.Grow(s.columns[:0], count)[:count]
		clear(s.columns)
		s.terms = 0
		return
	}
	s.portable = slices.Grow(s.portable[:0], count)[:count]
	for j := range s.portable {
		s.portable[j].total.SetInt64(0)
	}
}

// Add adds the products of some rows. For each number in a, b holds a row with
// one number per column.
func (s *Sums) Add(a, b []byte) {
	if s.tuned {
		s.addLanes(a, b)
		return
	}
	for ; len(a) > 0; a = a[s.aSize:] {
		s.factor.SetBytes(a[:s.aSize])
		for j := range s.portable {
			s.portable[j].addMul(&s.factor, b[:s.bSize])
			b = b[s.bSize:]
		}
	}
}

func (s *Sums) addLanes(a, b []byte) {
	row := len(s.columns) * numberSize
	for len(a) > 0 {
		count := min(laneCount, len(a)/numberSize)
		s.makeRoom()
		pack(&s.a, &a[0], numberSize, first(count))
		for j := range s.columns {
			mulAdd(&s.columns[j], &s.a, &b[j*numberSize], uint64(row), first(count))
		}
		a, b = a[count*numberSize:], b[count*row:]
	}
}

// makeRoom ensures that one more term does not overflow a column.
func (s *Sums) makeRoom() {
	if s.terms == maxTerms {
		for j := range s.columns {
			carry(&s.columns[j])
		}
		s.terms = 0
	}
	s.terms++
}

// Mod returns the sum of column j modulo p.
func (s *Sums) Mod(j int, p *big.Int) *big.Int {
	var sum *big.Int
	if s.tuned {
		sum = total(&s.columns[j])
	} else {
		sum = &s.portable[j].total
	}
	return new(big.Int).Mod(sum, p)
}

// sum adds products and does not reduce them: the 2^32 terms that a proof can
// have make the total only 32 bits longer. The zero value is 0. When its memory
// has grown to the size of the total, it allocates no more.
type sum struct {
	total, product, factor big.Int
}

// addMul sets s = s + a*b, with a big-endian b.
func (s *sum) addMul(a *big.Int, b []byte) {
	s.product.Mul(a, s.factor.SetBytes(b))
	s.total.Add(&s.total, &s.product)
}

// mod sets z = s mod p and s = 0.
func (s *sum) mod(z, p *big.Int) {
	s.product.QuoRem(&s.total, p, z) // product only lends its memory to the quotient
	s.total.SetInt64(0)
}
