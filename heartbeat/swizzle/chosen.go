package swizzle

import (
	"iter"
	"math/big"
	"slices"
	"sync"

	"github.com/driveshare/downstream-node/heartbeat/internal/sha256x"
)

// scratch is the memory to go through a challenge with.
type scratch struct {
	digests   [batch][sha256x.Size]byte
	indices   [batch]uint32
	positions [batch * 4]byte
	v         []byte
	secrets   []byte // f(index(i)), of the one who verifies
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// chosen goes through the chunks, of n, that a challenge names, a batch at a
// time: their positions index(i), and as many coefficients v_i, each of the
// bytes of the limit. Both are in s and hold until the next batch.
func (c fileChallenge) chosen(n uint32, s *scratch) iter.Seq2[[]uint32, []byte] {
	return func(yield func([]uint32, []byte) bool) {
		coefficients := newPRF(&c.key, c.limit)
		var positions *prf
		if c.l < n {
			positions = newPRF(&c.key, new(big.Int).SetUint64(uint64(n)))
		}
		s.v = sized(s.v, batch*coefficients.size())
		count := min(c.l, n)
		for first := uint32(0); first < count; {
			some := min(batch, count-first)
			// The coefficient and the position of i share its digest.
			digests := digestsFrom(first, s.digests[:some])
			coefficients.draw(s.v, digests)
			if positions != nil {
				positions.draw(s.positions[:], digests)
				readPositions(s.indices[:some], s.positions[:], positions.size())
			} else {
				for i := range some {
					s.indices[i] = first + i
				}
			}
			if !yield(s.indices[:some], s.v[:int(some)*coefficients.size()]) {
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

// sized is b with size bytes, whatever they are.
func sized(b []byte, size int) []byte { return slices.Grow(b[:0], size)[:size] }
