package swizzle

import (
	"bytes"
	"math/big"
	"slices"
	"sync"

	"github.com/driveshare/downstream-node/heartbeat/internal/cfb"
	"github.com/driveshare/downstream-node/heartbeat/internal/sha256x"
)

const (
	// maxDraws is how often a number is drawn until it is below the limit.
	// Each draw succeeds with a chance of at least one half.
	maxDraws = 81
	// batch is how many numbers are drawn at once: enough that those which
	// have to be drawn again are worth a kernel's lanes, and not too many for
	// the first cache of a processor.
	batch = 128
)

// prf is PRF(key, limit) of section 5: a pseudorandom number in [0, limit) for
// each u32. It is not safe for concurrent use.
type prf struct {
	chains  cfb.Chains
	limit   []byte // big-endian
	mask    byte   // for the top byte, up to limit's highest bit
	pending []uint32
}

// set makes f the function; limit must be positive.
func (f *prf) set(key *[keySize]byte, limit *big.Int) {
	f.chains = *cfb.NewChains(key)
	f.limit = limit.FillBytes(sized(f.limit, byteLen(limit)))
	f.mask = 0xff >> (-limit.BitLen() & 7)
}

func byteLen(n *big.Int) int { return (n.BitLen() + 7) / 8 }

// sized is b with size bytes, whatever they are.
func sized(b []byte, size int) []byte { return slices.Grow(b[:0], size)[:size] }

// size is the bytes of the function's values.
func (f *prf) size() int { return len(f.limit) }

// draw fills dst with the function's values, big-endian, at the u32s whose
// digests those are.
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
	// One key in 2^81 has any left. The reduction keeps the promise to callers.
	for _, i := range f.pending {
		f.reduce(f.at(dst, int(i)))
	}
}

func (f *prf) at(dst []byte, i int) []byte { return dst[i*f.size():][:f.size()] }

// accept masks a number that was drawn, where that makes it a value; where
// not, it leaves it as it is, since the next draw goes on from there.
func (f *prf) accept(number []byte) bool {
	// Looking at the first byte alone is nearly always enough.
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

// fewDigests are the digests of the first u32s, which all small files and the
// first blocks of every challenge share.
var fewDigests = sync.OnceValue(func() [][sha256x.Size]byte {
	x := make([]uint32, 4096)
	for i := range x {
		x[i] = uint32(i)
	}
	digests := make([][sha256x.Size]byte, len(x))
	sha256x.SumU32(digests, x)
	return digests
})

// digestsFrom gives the digests of as many u32s as buffer has room for, from
// first on, in buffer or elsewhere; they are not to be changed.
func digestsFrom(first uint32, buffer [][sha256x.Size]byte) [][sha256x.Size]byte {
	if few := fewDigests(); int64(first)+int64(len(buffer)) <= int64(len(few)) {
		return few[first:][:len(buffer)]
	}
	var x [batch]uint32
	for i := range buffer {
		x[i] = first + uint32(i)
	}
	sha256x.SumU32(buffer, x[:len(buffer)])
	return buffer
}
