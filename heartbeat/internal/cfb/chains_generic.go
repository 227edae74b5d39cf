package cfb

import (
	"crypto/aes"
	"crypto/subtle"
)

// short makes a draw that begins at the given offset of its chain and ends
// within the first block, where the keystream is the same for all chains.
func (c *Chains) short(dst []byte, digest *[DigestSize]byte, offset int) {
	for i := range dst {
		dst[i] = digest[i] ^ c.first[offset+i]
	}
}

// expand makes a chain's first draw, of two whole blocks or more.
func (c *Chains) expand(dst []byte, digest *[DigestSize]byte) {
	subtle.XORBytes(dst, c.first[:], digest[:aes.BlockSize])
	c.follow(dst, digest)
}

// redraw makes the next draw, of whole blocks, of a chain whose last is in dst.
func (c *Chains) redraw(dst []byte, digest *[DigestSize]byte) {
	c.block.Encrypt(dst, dst[len(dst)-aes.BlockSize:])
	subtle.XORBytes(dst, dst, digest[:aes.BlockSize])
	c.follow(dst, digest)
}

// follow makes the blocks of dst after the first. Beyond the digest there are
// only zeros to encrypt, and each block is the last one's encryption.
func (c *Chains) follow(dst []byte, digest *[DigestSize]byte) {
	for at := aes.BlockSize; at < len(dst); at += aes.BlockSize {
		c.block.Encrypt(dst[at:], dst[at-aes.BlockSize:])
		if at < DigestSize {
			subtle.XORBytes(dst[at:], dst[at:], digest[at:])
		}
	}
}

// replay makes a draw that does not keep to whole blocks, by going through all
// that are before it.
func (c *Chains) replay(dst []byte, size int, digests [][DigestSize]byte, which []uint32, draw int) {
	stream := NewFull(c.block, [aes.BlockSize]byte{})
	message := make([]byte, size)
	for _, i := range which {
		copy(message, digests[i][:])
		stream.Reset([aes.BlockSize]byte{})
		for range draw + 1 {
			stream.Encrypt(dst[int(i)*size:], message)
		}
	}
}
