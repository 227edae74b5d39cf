//go:build !purego

package aes256

import (
	"crypto/aes"

	"golang.org/x/sys/cpu"
)

// Kernels are those that the processor has, the fastest first.
func Kernels() []Kernel {
	x := &cpu.X86
	kernels := []Kernel{Portable}
	if x.HasAES && x.HasSSSE3 {
		kernels = append([]Kernel{NI}, kernels...)
		if x.HasAVX512VAES && x.HasAVX512F && x.HasAVX512BW && x.HasBMI2 {
			kernels = append([]Kernel{VAES}, kernels...)
		}
	}
	return kernels
}

func (c *Cipher) keyStream(dst []byte, offset uint64) {
	if c.Kernel == Portable {
		c.keyStreamGeneric(dst, offset)
		return
	}
	counter := offset / aes.BlockSize
	if skip := offset % aes.BlockSize; skip != 0 {
		dst = dst[c.part(dst, counter, skip):]
		counter++
	}
	whole := len(dst) / aes.BlockSize
	if whole > 0 {
		c.blocks(&dst[0], whole, counter)
	}
	if rest := dst[whole*aes.BlockSize:]; len(rest) > 0 {
		c.part(rest, counter+uint64(whole), 0)
	}
}

// part copies a block, without its first bytes, into dst as far as that goes.
func (c *Cipher) part(dst []byte, counter, skip uint64) int {
	var block [aes.BlockSize]byte
	c.blocks(&block[0], 1, counter)
	return copy(dst, block[skip:])
}

// blocks fills dst with the encryptions of counter, counter+1, ...
func (c *Cipher) blocks(dst *byte, count int, counter uint64) {
	if c.Kernel == VAES {
		keyStreamVAES(&c.Keys, dst, count, counter)
	} else {
		keyStreamNI(&c.Keys, dst, count, counter)
	}
}
