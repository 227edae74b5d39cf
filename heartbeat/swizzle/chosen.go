package swizzle

import (
	"iter"
	"math/big"
	"sync"

	"github.com/driveshare/downstream-node/heartbeat/internal/sha256x"
	"github.com/driveshare/downstream-node/heartbeat/internal/wide"
)

// scratch is the memory to go through a challenge with, kept for the next one.
type scratch struct {
	sums    wide.Sums // first, for the lanes in it
	digests [batch][sha256x.Size]byte

	coefficients, positions prf
	indices                 [batch]uint32
	numbers                 [batch * 4]byte // the positions as they are drawn
	v                       []byte

	// Of the one who verifies.
	f, alpha             prf
	secrets, alphas, mus []byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// chosen goes through the chunks, of n, that a challenge names, a batch at a
// time: their positions index(i), and as many coefficients v_i, each of the
// bytes of the limit. Both are in s and hold until the next batch.
func (c fileChallenge) chosen(n uint32, s *scratch) iter.Seq2[[]uint32, []byte] {
	return func(yield func([]uint32, []byte) bool) {
		s.coefficients.set(&c.key, c.limit)
		size := s.coefficients.size()
		s.v = sized(s.v, batch*size)
		if c.l < n {
			s.positions.set(&c.key, new(big.Int).SetUint64(uint64(n)))
		}
		count := min(c.l, n)
		for first := uint32(0); first < count; {
			some := min(batch, count-first)
			// The coefficient and the position of i share its digest.
			digests := digestsFrom(first, s.digests[:some])
			s.coefficients.draw(s.v, digests)
			if c.l < n {
				s.positions.draw(s.numbers[:], digests)
				readPositions(s.indices[:some], s.numbers[:], s.positions.size())
			} else {
				for i := range some {
					s.indices[i] = first + i
				}
			}
			if !yield(s.indices[:some], s.v[:int(some)*size]) {
				return
			}
			first += some
		}
	}
}

// readPositions reads big-endian numbers of size bytes.
func readPositions(at []uint32, numbers []byte, size int) {
	for i := range at {
		at[i] = 0
		for _, b := range numbers[i*size:][:size] {
			at[i] = at[i]<<8 | uint32(b)
		}
	}
}
