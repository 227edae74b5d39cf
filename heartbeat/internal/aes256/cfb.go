package aes256

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
)

// CFB is cipher feedback mode with segments of whole blocks (NIST SP 800-38A,
// section 6.3, with s = 128), as a byte stream: a call may end inside a block,
// and the next call continues there. It is not safe for concurrent use.
type CFB struct {
	block cipher.Block
	// The first used bytes of register are ciphertext, which is the input of the
	// next block. The bytes from used on are unused keystream.
	register [aes.BlockSize]byte
	used     int
}

// NewCFB starts a stream with an initialisation vector.
func NewCFB(block cipher.Block, iv [aes.BlockSize]byte) *CFB {
	f := &CFB{block: block}
	f.reset(iv)
	return f
}

func (f *CFB) reset(iv [aes.BlockSize]byte) {
	f.register = iv
	f.used = aes.BlockSize
}

// Encrypt encrypts src into dst. dst must be at least as long as src, and may
// be the same slice.
func (f *CFB) Encrypt(dst, src []byte) {
	// Most calls begin and end between two blocks.
	for f.used == aes.BlockSize && len(src) >= aes.BlockSize {
		f.block.Encrypt(f.register[:], f.register[:])
		subtle.XORBytes(f.register[:], f.register[:], src[:aes.BlockSize])
		copy(dst, f.register[:])
		dst, src = dst[aes.BlockSize:], src[aes.BlockSize:]
	}
	for i, plain := range src {
		f.refill()
		f.register[f.used] ^= plain
		dst[i] = f.register[f.used]
		f.used++
	}
}

// Decrypt decrypts src into dst. dst must be at least as long as src, and may
// be the same slice.
func (f *CFB) Decrypt(dst, src []byte) {
	for i, encrypted := range src {
		f.refill()
		dst[i] = f.register[f.used] ^ encrypted
		f.register[f.used] = encrypted
		f.used++
	}
}

func (f *CFB) refill() {
	if f.used == aes.BlockSize {
		f.block.Encrypt(f.register[:], f.register[:])
		f.used = 0
	}
}

// CFB8 is cipher feedback mode with segments of one byte (NIST SP 800-38A,
// section 6.3, with s = 8), from an initialisation vector of zeros. It is not
// safe for concurrent use.
type CFB8 struct {
	block            cipher.Block
	register, output [aes.BlockSize]byte
}

// NewCFB8 starts a stream.
func NewCFB8(block cipher.Block) *CFB8 { return &CFB8{block: block} }

// Encrypt encrypts src into dst. dst must be at least as long as src, and may
// be the same slice.
func (f *CFB8) Encrypt(dst, src []byte) {
	for i, plain := range src {
		f.block.Encrypt(f.output[:], f.register[:])
		encrypted := plain ^ f.output[0]
		copy(f.register[:], f.register[1:])
		f.register[aes.BlockSize-1] = encrypted
		dst[i] = encrypted
	}
}
