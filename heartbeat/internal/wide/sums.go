package wide

import (
	"math/big"
	"slices"
)

// Sums are the sums over i of a_i * b_{i,j}, one for each column j. They are
// not safe for concurrent use.
type Sums struct {
	fast         fastSums // first, for the lanes in it
	portable     portableSums
	tuned        bool // fast is used, and not portable
	aSize, bSize int
}

// NewSums makes count sums of 0, for a's of aSize bytes and b's of bSize bytes.
// There may be 2^32 terms and more.
func NewSums(count, aSize, bSize int) *Sums {
	s := new(Sums)
	s.Reset(count, aSize, bSize)
	return s
}

// Reset is NewSums with the memory of sums that are not wanted any more.
func (s *Sums) Reset(count, aSize, bSize int) {
	s.tuned = tuned && aSize == numberSize && bSize == numberSize
	s.aSize, s.bSize = aSize, bSize
	if s.tuned {
		s.fast.reset(count)
	} else {
		s.portable.reset(count)
	}
}

// Add adds the products of rows: of each i that a has a number of, b has a row
// with a number for each column. The numbers are big-endian.
func (s *Sums) Add(a, b []byte) {
	if s.tuned {
		s.fast.add(a, b)
	} else {
		s.portable.add(a, b, s.aSize, s.bSize)
	}
}

// Mod gives column j modulo p.
func (s *Sums) Mod(j int, p *big.Int) *big.Int {
	var sum *big.Int
	if s.tuned {
		sum = total(&s.fast.columns[j])
	} else {
		sum = &s.portable.columns[j].total
	}
	return new(big.Int).Mod(sum, p)
}

// fastSums are the sums of numbers that lanes can hold. Lane k of a column has
// the sum over every eighth i; which ones does not matter in the end.
type fastSums struct {
	a       lanes // first, where the allocator puts them on cache lines
	columns []columns
	terms   int // since the last carry
}

func (s *fastSums) reset(count int) {
	s.columns = slices.Grow(s.columns[:0], count)[:count]
	clear(s.columns)
	s.terms = 0
}

func (s *fastSums) add(a, b []byte) {
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

// makeRoom sees to it that one more product does not overflow a column.
func (s *fastSums) makeRoom() {
	if s.terms == maxTerms {
		for j := range s.columns {
			carry(&s.columns[j])
		}
		s.terms = 0
	}
	s.terms++
}
