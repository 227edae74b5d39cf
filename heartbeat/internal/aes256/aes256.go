package aes256

import (
	"crypto/aes"
	"crypto/cipher"
)

// Kernel is a way to run the cipher.
type Kernel string

const (
	Portable Kernel = "portable" // crypto/aes, anywhere
	NI       Kernel = "aesni"    // a block in each of many registers
	VAES     Kernel = "vaes"     // four blocks in each, with AVX-512
)

// Cipher is AES-256 under one key. It is safe for concurrent use.
type Cipher struct {
	Kernel Kernel
	// Keys is the key schedule for the kernels, of which the first two are the
	// key itself; the portable way keeps its own.
	Keys  [15][aes.BlockSize]byte
	block cipher.Block
}

// New is a cipher with the best kernel that the processor has.
func New(key *[32]byte) Cipher { return NewWith(best, key) }

var best = Kernels()[0]

// Use makes New take the given one of [Kernels] until restore is called. It is
// for tests and benchmarks, and must not be called while a cipher is made.
func Use(kernel Kernel) (restore func()) {
	before := best
	best = kernel
	return func() { best = before }
}

// NewWith is a cipher with the given one of [Kernels].
func NewWith(kernel Kernel, key *[32]byte) Cipher {
	c := Cipher{Kernel: kernel}
	if kernel == Portable {
		c.block = newBlock(key[:])
	} else {
		expandKeys(&c.Keys, key)
	}
	return c
}

// Block is the cipher as the standard library has it, for where no kernel
// goes: with a kernel, each call makes it anew.
func (c *Cipher) Block() cipher.Block {
	if c.block != nil {
		return c.block
	}
	return newBlock(append(c.Keys[0][:], c.Keys[1][:]...))
}

func newBlock(key []byte) cipher.Block {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // not possible: the key is 32 bytes
	}
	return block
}

// KeyStream fills dst with the stream of counter mode from the byte at offset
// on: block k of it is the encryption of k as a big-endian number. The kernels
// allocate nothing, the portable way a few hundred bytes a call.
func (c *Cipher) KeyStream(dst []byte, offset uint64) {
	c.keyStream(dst, offset)
}
