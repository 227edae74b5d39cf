package swizzle

import (
	"bytes"
	"iter"
	"math/big"
	"slices"
	"sync"

	"github.com/driveshare/downstream-node/heartbeat/internal/aes256"
	"github.com/driveshare/downstream-node/heartbeat/internal/sha256x"
	"github.com/driveshare/downstream-node/heartbeat/internal/wide"
)

const (
	// maxDraws is the maximum number of draws for one number. Each draw is below
	// the limit with a probability of at least one half.
	maxDraws = 81
	// batch is how many numbers are drawn at the same time. Some draws fail and are
	// repeated. A batch should be so large that the repeated draws fill a kernel's
	// lanes, and so small that its numbers fit into a core's L1 cache.
	batch = 128
)

// prf is the function PRF(key, limit) of PROTOCOL.md, section 5. It has one value
// for each u32. The values are pseudorandom numbers in [0, limit). A prf is not
// safe for concurrent use.
type prf struct {
	chains  aes256.Chains
	limit   []byte // big-endian
	mask    byte   // mask of the bits in limit's first byte
	pending []uint32
}

// set sets f to the function for key and limit. limit must be positive.
func (f *prf) set(key *[keySize]byte, limit *big.Int) {
	f.chains = *aes256.NewChains(key)
	f.limit = limit.FillBytes(sized(f.limit, byteLen(limit)))
	f.mask = 0xff >> (-limit.BitLen() & 7)
}

func byteLen(n *big.Int) int { return (n.BitLen() + 7) / 8 }

// sized returns a slice of size bytes, in the memory of b if it is large enough.
func sized(b []byte, size int) []byte { return slices.Grow(b[:0], size)[:size] }

// size returns the number of bytes in a value of f.
func (f *prf) size() int { return len(f.limit) }

// draw fills dst with the function's values as big-endian numbers. digests are the
// digests of the u32s whose values are drawn.
func (f *prf) draw(dst []byte, digests [][sha256x.Size]byte) {
	f.chains.Expand(dst, f.size(), digests)
	f.pending = f.pending[:0]
	for i := range digests {
		if !f.accept(f.at(dst, i)) {
			f.pending = append(f.pending, uint32(i))
		}
	}
	for draw := 1; draw < maxDraws && len(f.pending) > 0; draw++ {
		f.chains.Redraw(dst, f.size(), digests, f.pending, draw)
		left := f.pending[:0]
		for _, i := range f.pending {
			if !f.accept(f.at(dst, int(i))) {
				left = append(left, i)
			}
		}
		f.pending = left
	}
	// A number fails every draw with a probability of 2^-81. Even then, callers
	// need a value below the limit.
	for _, i := range f.pending {
		f.reduce(f.at(dst, int(i)))
	}
}

func (f *prf) at(dst []byte, i int) []byte { return dst[i*f.size():][:f.size()] }

// accept masks a drawn number if the masked number is a value. Otherwise it does
// not change the number, because the next draw needs the unchanged number.
func (f *prf) accept(number []byte) bool {
	// The first byte is almost always enough to decide.
	top := number[0] & f.mask
	if top > f.limit[0] || top == f.limit[0] && bytes.Compare(number[1:], f.limit[1:]) >= 0 {
		return false
	}
	number[0] = top
	return true
}

func (f *prf) reduce(number []byte) {
	number[0] &= f.mask
	n := new(big.Int).SetBytes(number)
	n.Mod(n, new(big.Int).SetBytes(f.limit)).FillBytes(number)
}

// firstDigests returns the digests of the first u32s. All small files and the
// first chunks of all challenges need them.
var firstDigests = sync.OnceValue(func() [][sha256x.Size]byte {
	x := make([]uint32, 4096)
	for i := range x {
		x[i] = uint32(i)
	}
	digests := make([][sha256x.Size]byte, len(x))
	sha256x.SumU32(digests, x)
	return digests
})

// digestsFrom returns the digests of len(buffer) consecutive u32s. The digests can
// be in buffer or in shared memory, so callers must not change them.
func digestsFrom(first uint32, buffer [][sha256x.Size]byte) [][sha256x.Size]byte {
	if all := firstDigests(); int64(first)+int64(len(buffer)) <= int64(len(all)) {
		return all[first:][:len(buffer)]
	}
	var x [batch]uint32
	for i := range buffer {
		x[i] = first + uint32(i)
	}
	sha256x.SumU32(buffer, x[:len(buffer)])
	return buffer
}

// scratch is the memory that Prove or Verify needs. scratches keeps this memory for
// the next challenge.
type scratch struct {
	sums    wide.Sums // the first field, so that the allocator aligns it to cache lines
	digests [batch][sha256x.Size]byte

	coefficients, positions prf
	indices                 [batch]uint32
	numbers                 [batch * 4]byte // the drawn positions
	v                       []byte

	// Only Verify uses these fields.
	f, alpha             prf
	secrets, alphas, mus []byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// chosen iterates, in batches, over the chunks that a challenge covers. The file
// has n chunks. chosen yields the positions index(i) of the chunks, and one
// coefficient v_i for each position. Each coefficient has the size of the limit.
// Positions and coefficients are in s and are valid until the next batch.
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
			// Both functions draw from the same digests.
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

// readPositions converts big-endian numbers of size bytes to positions.
func readPositions(at []uint32, numbers []byte, size int) {
	for i := range at {
		at[i] = 0
		for _, b := range numbers[i*size:][:size] {
			at[i] = at[i]<<8 | uint32(b)
		}
	}
}
