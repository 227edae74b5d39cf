package cfb

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
)

// Full is CFB with feedback of whole blocks (s = 128), used as a byte stream:
// a call may end in the middle of a block and the next one continues there.
// It is not safe for concurrent use.
type Full struct {
	block cipher.Block
	// register holds, before position used, the ciphertext that the next block
	// will be fed with and, from used on, what is left of the keystream.
	register [aes.BlockSize]byte
	used     int
}

// NewFull starts a stream with the given initialisation vector. The block size
// of block must be 16 bytes.
func NewFull(block cipher.Block, iv [aes.BlockSize]byte) *Full {
	f := &Full{block: block}
	f.Reset(iv)
	return f
}

// Reset starts the stream over.
func (f *Full) Reset(iv [aes.BlockSize]byte) {
	f.register = iv
	f.used = aes.BlockSize
}

// Encrypt encrypts src into dst, which must be at least as long, and may be
// the same slice.
func (f *Full) Encrypt(dst, src []byte) {
	// Whole blocks, where the stream is between two: nearly all there is.
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

// Decrypt decrypts src into dst, which must be at least as long, and may be
// the same slice.
func (f *Full) Decrypt(dst, src []byte) {
	for i, secret := range src {
		f.refill()
		dst[i] = f.register[f.used] ^ secret
		f.register[f.used] = secret
		f.used++
	}
}

func (f *Full) refill() {
	if f.used == aes.BlockSize {
		f.block.Encrypt(f.register[:], f.register[:])
		f.used = 0
	}
}

// Byte is CFB with feedback of single bytes (s = 8), starting from an
// initialisation vector of zeros. It is not safe for concurrent use.
type Byte struct {
	block    cipher.Block
	register [aes.BlockSize]byte
	output   [aes.BlockSize]byte
}

// NewByte starts a stream. The block size of block must be 16 bytes.
func NewByte(block cipher.Block) *Byte {
	return &Byte{block: block}
}

// Encrypt encrypts src into dst, which must be at least as long, and may be
// the same slice.
func (b *Byte) Encrypt(dst, src []byte) {
	for i, plain := range src {
		b.block.Encrypt(b.output[:], b.register[:])
		secret := plain ^ b.output[0]
		copy(b.register[:], b.register[1:])
		b.register[aes.BlockSize-1] = secret
		dst[i] = secret
	}
}
