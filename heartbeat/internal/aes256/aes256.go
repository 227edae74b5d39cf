// Package aes256 runs AES-256 over many blocks at the same time. It has the modes
// in which the schemes draw their pseudorandom bytes: counter mode, and cipher
// feedback mode (CFB) with feedback of whole blocks or of single bytes. [Cipher]
// holds a key and computes counter mode. [EncryptCFB], [DecryptCFB] and [CFB8] are
// streams. [Chains] is CFB for many short messages under one key.
//
// CFB does not authenticate, so the standard library has deprecated it, and new
// code should not use it. This package has CFB because the protocol prescribes it.
// Swizzle's state is the only secret message that the schemes encrypt. The state
// includes its own HMAC.
//
// The invariant: the output does not depend on the kernel. It also does not depend
// on how the input is divided into calls, or on other inputs that are processed in
// the same call.
//
//go:generate go run -C ../../_asm ./aes256 -pkg aes256 -out ../internal/aes256/aes256_amd64.s -stubs ../internal/aes256/stubs_amd64.go
package aes256

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"

	"github.com/driveshare/downstream-node/heartbeat/internal/kernel"
)

// Kernels holds the kernel that new ciphers use.
var Kernels = kernel.Choose(kernel.VAES, kernel.AESNI)

// Cipher is AES-256 under one key. It is safe for concurrent use.
type Cipher struct {
	kernel kernel.Kernel
	keys   [15][aes.BlockSize]byte // the key schedule, if the kernel is not Portable
	block  cipher.Block            // the cipher, if the kernel is Portable
}

// New returns the cipher under key. It uses the kernel that is in use now.
func New(key *[32]byte) Cipher { return newCipher(Kernels.InUse(), key) }

func newCipher(k kernel.Kernel, key *[32]byte) Cipher {
	c := Cipher{kernel: k}
	if k == kernel.Portable {
		c.block = newBlock(key[:])
	} else {
		expandKeys(&c.keys, key)
	}
	return c
}

// portable returns the standard library's cipher, for work that no kernel does.
// Unless the kernel is Portable, each call allocates a cipher.
func (c *Cipher) portable() cipher.Block {
	if c.block != nil {
		return c.block
	}
	return newBlock(append(c.keys[0][:], c.keys[1][:]...)) // the first two round keys are the key
}

func newBlock(key []byte) cipher.Block {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // impossible: the key is 32 bytes
	}
	return block
}

// KeyStream fills dst with the keystream of counter mode, starting at byte
// offset. Block k of the keystream is the encryption of k as a big-endian
// number. The kernels do not allocate; Portable allocates a few hundred bytes.
func (c *Cipher) KeyStream(dst []byte, offset uint64) {
	if len(dst) == 0 {
		return
	}
	counter, skip := offset/aes.BlockSize, int(offset%aes.BlockSize)
	switch c.kernel {
	case kernel.VAES:
		keyStreamVAES(&c.keys, &dst[0], len(dst), skip, counter)
	case kernel.AESNI:
		c.keyStreamBlocks(dst, skip, counter)
	default:
		c.keyStreamPortable(dst, skip, counter)
	}
}

// keyStreamBlocks computes the keystream with a kernel for whole blocks.
func (c *Cipher) keyStreamBlocks(dst []byte, skip int, counter uint64) {
	if skip != 0 {
		var block [aes.BlockSize]byte
		keyStreamNI(&c.keys, &block[0], 1, counter)
		dst = dst[copy(dst, block[skip:]):]
		counter++
	}
	whole := len(dst) / aes.BlockSize
	if whole > 0 {
		keyStreamNI(&c.keys, &dst[0], whole, counter)
	}
	if rest := dst[whole*aes.BlockSize:]; len(rest) > 0 {
		var block [aes.BlockSize]byte
		keyStreamNI(&c.keys, &block[0], 1, counter+uint64(whole))
		copy(rest, block[:])
	}
}

func (c *Cipher) keyStreamPortable(dst []byte, skip int, counter uint64) {
	var iv [aes.BlockSize]byte
	binary.BigEndian.PutUint64(iv[8:], counter)
	stream := cipher.NewCTR(c.block, iv[:])
	if skip != 0 {
		var skipped [aes.BlockSize]byte
		stream.XORKeyStream(skipped[:skip], skipped[:skip])
	}
	clear(dst)
	stream.XORKeyStream(dst, dst)
}
