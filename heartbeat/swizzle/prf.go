package swizzle

import (
	"crypto/aes"
	"crypto/sha256"
	"encoding/binary"
	"math/big"

	"github.com/driveshare/downstream-node/heartbeat/internal/cfb"
)

// maxDraws is how often a number is drawn until it is below the limit. Each
// draw succeeds with a chance of at least one half.
const maxDraws = 81

// prf is PRF(key, limit) of section 5: a pseudorandom number in [0, limit) for
// each u32. It is not safe for concurrent use.
type prf struct {
	stream *cfb.Full
	limit  *big.Int
	mask   byte // for the top byte, up to limit's highest bit
	input  []byte
	output []byte
}

// newPRF makes the function; limit must be positive and is kept.
func newPRF(key [keySize]byte, limit *big.Int) *prf {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // not possible: the key is 32 bytes
	}
	size := (limit.BitLen() + 7) / 8
	return &prf{
		stream: cfb.NewFull(block, [aes.BlockSize]byte{}),
		limit:  limit,
		mask:   byte(0xff) >> (8*size - limit.BitLen()),
		input:  make([]byte, size),
		output: make([]byte, size),
	}
}

// eval sets z to the function's value at i and gives z.
func (f *prf) eval(z *big.Int, i uint32) *big.Int {
	var x [4]byte
	binary.LittleEndian.PutUint32(x[:], i)
	digest := sha256.Sum256(x[:])
	copy(f.input, digest[:])

	f.stream.Reset([aes.BlockSize]byte{})
	for range maxDraws {
		f.stream.Encrypt(f.output, f.input)
		f.output[0] &= f.mask
		if z.SetBytes(f.output).Cmp(f.limit) < 0 {
			return z
		}
	}
	// One key in 2^81 gets here. The reduction keeps the promise to callers.
	return z.Mod(z, f.limit)
}

// positions gives the chunks that a challenge names: index(i) for i from 0 to
// count-1, each below n.
type positions struct {
	n, count uint32
	prf      *prf
	number   big.Int
}

// newPositions are those of a challenge of l chunks among n.
func newPositions(key [keySize]byte, l, n uint32) *positions {
	p := &positions{n: n, count: min(l, n)}
	if l < n {
		p.prf = newPRF(key, new(big.Int).SetUint64(uint64(n)))
	}
	return p
}

func (p *positions) index(i uint32) uint32 {
	if p.prf == nil {
		return i
	}
	return uint32(p.prf.eval(&p.number, i).Uint64())
}
