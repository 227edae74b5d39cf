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
	if len(dst) == 0 {
		return
	}
	counter, skip := offset/aes.BlockSize, int(offset%aes.BlockSize)
	switch c.Kernel {
	case VAES:
		keyStreamVAES(&c.Keys, &dst[0], len(dst), skip, counter)
	case NI:
		c.keyStreamBlocks(dst, skip, counter)
	default:
		c.keyStreamGeneric(dst, offset)
	}
}

// keyStreamBlocks does with whole blocks what is asked for from skip on.
func (c *Cipher) keyStreamBlocks(dst []byte, skip int, counter uint64) {
	if skip != 0 {
		var block [aes.BlockSize]byte
		keyStreamNI(&c.Keys, &block[0], 1, counter)
		dst = dst[copy(dst, block[skip:]):]
		counter++
	}
	whole := len(dst) / aes.BlockSize
	if whole > 0 {
		keyStreamNI(&c.Keys, &dst[0], whole, counter)
	}
	if rest := dst[whole*aes.BlockSize:]; len(rest) > 0 {
		var block [aes.BlockSize]byte
		keyStreamNI(&c.Keys, &block[0], 1, counter+uint64(whole))
		copy(rest, block[:])
	}
}
