package cfb

import (
	"crypto/aes"
	"crypto/cipher"
)

// DigestSize is the length in bytes of what a chain is drawn from.
const DigestSize = 32

// Chains is [Full] run over many short messages under one key, all from an
// initialisation vector of zeros: the draws of PROTOCOL.md, section 5. The
// message of a chain is its digest, followed by zeros or cut to what a draw
// takes; each further draw encrypts the same message again, with the chain's
// stream carried on. It is safe for concurrent use.
type Chains struct {
	block cipher.Block
	first [aes.BlockSize]byte // E(key, 0), which every chain starts with
}

// NewChains does what the chains of a key have in common.
func NewChains(key *[32]byte) *Chains {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // not possible: the key is 32 bytes
	}
	c := &Chains{block: block}
	block.Encrypt(c.first[:], c.first[:])
	return c
}

// Expand sets dst[i*size:(i+1)*size] to the first draw of size bytes from
// digests[i], for each i. The length of dst must be size*len(digests) at least.
func (c *Chains) Expand(dst []byte, size int, digests [][DigestSize]byte) {
	switch {
	case size <= aes.BlockSize:
		for i := range digests {
			c.short(dst[i*size:][:size], &digests[i], 0)
		}
	case size%aes.BlockSize == 0:
		for i := range digests {
			c.expand(dst[i*size:][:size], &digests[i])
		}
	default:
		c.replay(dst, size, digests, every(len(digests)), 0)
	}
}

// Redraw replaces, in the dst and for the digests of an [Chains.Expand], the
// draws of the chains that which names by their next ones, and leaves the
// others alone. The draw is counted from 1, the first after Expand. What it
// replaces must stand in dst just as it was drawn.
func (c *Chains) Redraw(dst []byte, size int, digests [][DigestSize]byte, which []uint32, draw int) {
	switch {
	case (draw+1)*size <= aes.BlockSize:
		for _, i := range which {
			c.short(dst[int(i)*size:][:size], &digests[i], draw*size)
		}
	case size%aes.BlockSize == 0:
		for _, i := range which {
			c.redraw(dst[int(i)*size:][:size], &digests[i])
		}
	default:
		c.replay(dst, size, digests, which, draw)
	}
}

// every names all of count chains.
func every(count int) []uint32 {
	which := make([]uint32, count)
	for i := range which {
		which[i] = uint32(i)
	}
	return which
}
