package aes256

import (
	"crypto/aes"
	"crypto/cipher"
)

// EncryptCFB returns a stream that encrypts in cipher feedback mode with segments
// of whole blocks (NIST SP 800-38A, section 6.3, with s = 128). A call may end
// inside a block, and the next call continues there.
func EncryptCFB(block cipher.Block, iv [aes.BlockSize]byte) cipher.Stream {
	//lint:ignore SA1019 PROTOCOL.md prescribes this mode
	return cipher.NewCFBEncrypter(block, iv[:])
}

// DecryptCFB returns a stream that decrypts what a stream of EncryptCFB encrypts.
func DecryptCFB(block cipher.Block, iv [aes.BlockSize]byte) cipher.Stream {
	//lint:ignore SA1019 PROTOCOL.md prescribes this mode
	return cipher.NewCFBDecrypter(block, iv[:])
}

// CFB8 is a stream that encrypts in cipher feedback mode with segments of one
// byte (NIST SP 800-38A, section 6.3, with s = 8), from an initialisation vector
// of zeros. It is not safe for concurrent use.
type CFB8 struct {
	block            cipher.Block
	register, output [aes.BlockSize]byte
}

// NewCFB8 starts a stream.
func NewCFB8(block cipher.Block) *CFB8 { return &CFB8{block: block} }

// XORKeyStream encrypts src into dst. dst must be at least as long as src, and
// may be the same slice.
func (f *CFB8) XORKeyStream(dst, src []byte) {
	for i, plain := range src {
		f.block.Encrypt(f.output[:], f.register[:])
		encrypted := plain ^ f.output[0]
		copy(f.register[:], f.register[1:])
		f.register[aes.BlockSize-1] = encrypted
		dst[i] = encrypted
	}
}
