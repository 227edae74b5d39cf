package cfb

import (
	"crypto/aes"
	"crypto/subtle"
)

// short makes draws that end within the chains' first block, where the
// keystream is the same for all.
func (c *Chains) short(r request) {
	key := c.first[r.draw*r.size:][:r.size]
	for i := range r.count() {
		dst, digest := r.chain(i)
		for b := range key {
			dst[b] = key[b] ^ digest[b]
		}
	}
}

// wholeGeneric makes draws of whole blocks.
func (c *Chains) wholeGeneric(r request) {
	block := c.cipher.Block()
	for i := range r.count() {
		dst, digest := r.chain(i)
		if r.draw == 0 {
			copy(dst, c.first[:])
		} else {
			block.Encrypt(dst, dst[len(dst)-aes.BlockSize:])
		}
		subtle.XORBytes(dst, dst, digest[:aes.BlockSize])
		// Beyond the digest there are only zeros to encrypt, and each block is
		// the last one's encryption.
		for at := aes.BlockSize; at < len(dst); at += aes.BlockSize {
			block.Encrypt(dst[at:], dst[at-aes.BlockSize:])
			if at < DigestSize {
				subtle.XORBytes(dst[at:], dst[at:], digest[at:])
			}
		}
	}
}

// replay makes draws that do not keep to whole blocks, by going through all
// that are before them.
func (c *Chains) replay(r request) {
	stream := NewFull(c.cipher.Block(), [aes.BlockSize]byte{})
	message := make([]byte, r.size)
	for i := range r.count() {
		dst, digest := r.chain(i)
		copy(message, digest[:])
		stream.Reset([aes.BlockSize]byte{})
		for range r.draw + 1 {
			stream.Encrypt(dst, message)
		}
	}
}
