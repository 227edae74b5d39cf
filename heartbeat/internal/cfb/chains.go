package cfb

import (
	"crypto/aes"

	"github.com/driveshare/downstream-node/heartbeat/internal/aes256"
)

// DigestSize is the length in bytes of what a chain is drawn from.
const DigestSize = 32

// Chains is [Full] run over many short messages under one key, all from an
// initialisation vector of zeros: the draws of PROTOCOL.md, section 5. The
// message of a chain is its digest, followed by zeros or cut to what a draw
// takes; each further draw encrypts the same message again, with the chain's
// stream carried on. It is safe for concurrent use.
type Chains struct {
	cipher aes256.Cipher
	first  [aes.BlockSize]byte // E(key, 0), which every chain starts with
}

// NewChains does what the chains of a key have in common.
func NewChains(key *[32]byte) *Chains { return newChains(aes256.New(key)) }

func newChains(cipher aes256.Cipher) *Chains {
	c := &Chains{cipher: cipher}
	c.cipher.KeyStream(c.first[:], 0)
	return c
}

// Expand sets dst[i*size:(i+1)*size] to the first draw of size bytes from
// digests[i], for each i. The length of dst must be size*len(digests) at least.
// Whole blocks are fast, and so is what ends within the first block.
func (c *Chains) Expand(dst []byte, size int, digests [][DigestSize]byte) {
	c.draw(request{dst, size, digests, nil, 0})
}

// Redraw replaces, in the dst and for the digests of an [Chains.Expand], the
// draws of the chains that which names by their next ones, and leaves the
// others alone. A chain may be named once. The draw is counted from 1, the
// first after Expand. What it replaces must stand in dst just as it was drawn.
func (c *Chains) Redraw(dst []byte, size int, digests [][DigestSize]byte, which []uint32, draw int) {
	if len(which) > 0 {
		c.draw(request{dst, size, digests, which, draw})
	}
}

func (c *Chains) draw(r request) {
	switch {
	case (r.draw+1)*r.size <= aes.BlockSize:
		c.short(r)
	case r.size%aes.BlockSize == 0:
		c.whole(r)
	default:
		c.replay(r)
	}
}

// request is what Expand and Redraw are called with.
type request struct {
	dst     []byte
	size    int
	digests [][DigestSize]byte
	which   []uint32 // nil names all
	draw    int
}

func (r *request) count() int {
	if r.which != nil {
		return len(r.which)
	}
	return len(r.digests)
}

// chain gives the output and the digest of the i-th chain asked for.
func (r *request) chain(i int) ([]byte, *[DigestSize]byte) {
	if r.which != nil {
		i = int(r.which[i])
	}
	return r.dst[i*r.size:][:r.size:r.size], &r.digests[i]
}
