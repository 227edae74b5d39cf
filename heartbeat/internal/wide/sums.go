// Package wide implements the arithmetic of Swizzle (PROTOCOL.md, section 5): sums
// of products of large non-negative numbers. [Sums] adds over many chunks and
// reduces once, at the end. Proofs consist of such sums. [Dot] adds over the
// sectors of one chunk. Its result is part of the chunk's authenticator.
//
// Numbers are big-endian bytes without gaps, as in files and proofs. If the numbers
// have 1024 bits, kernels for AVX-512 with IFMA compute eight numbers at a time.
// IFMA multiplies and adds numbers of 52 bits. Each number is in the same lane of
// 20 vectors. For numbers of other sizes, on other processors and with the build
// tag purego, math/big computes the sums.
//
// The invariant: the kernels and math/big return the same results.
//
//go:generate go run -C ../../_asm ./wide -out ../internal/wide/ifma_amd64.s -stubs ../internal/wide/ifma_amd64.go -pkg wide
package wide

import (
	"math/big"
	"slices"

	"github.com/driveshare/downstream-node/heartbeat/internal/kernel"
)

// Kernels holds the kernel that new sums compute with.
var Kernels = kernel.Choose(kernel.IFMA)

// Sums holds one sum over i of a_i * b_{i,j} for each column j. It is not safe
// for concurrent use.
type Sums struct {
	// The kernels divide the terms i among the eight lanes. Each lane of a column
	// holds the sum of its terms. total adds the lanes, so any lane may add any
	// term.
	a       lanes // the first field, so that the allocator aligns it to cache lines
	columns []columns
	terms   int // number of terms since the last carry

	tuned        bool  // the sums are in columns; if tuned is false, the sums are in portable
	portable     []sum // sums that math/big computes
	factor       big.Int
	aSize, bSize int
}

// NewSums returns count sums that are 0, for a of aSize bytes and b of bSize bytes.
// The number of terms has no limit.
func NewSums(count, aSize, bSize int) *Sums {
	s := new(Sums)
	s.Reset(count, aSize, bSize)
	return s
}

// Reset sets s to the value that NewSums returns. It reuses the memory of s.
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

// sum adds products and does not reduce them. A proof can have 2^32 terms, so the
// total is at most 32 bits longer than a product. The zero value is 0. A sum
// allocates memory only until its memory has the size of the total.
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
	s.product.QuoRem(&s.total, p, z) // the quotient is not needed; product provides memory for it
	s.total.SetInt64(0)
}
