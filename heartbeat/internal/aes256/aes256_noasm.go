//go:build !amd64 || purego

package aes256

import "crypto/aes"

// Kernels are those that the processor has, the fastest first.
func Kernels() []Kernel { return []Kernel{Portable} }

func expandKeys(*[15][aes.BlockSize]byte, *[32]byte) { panic("aes256: no kernel needs a schedule") }

func (c *Cipher) keyStream(dst []byte, offset uint64) { c.keyStreamGeneric(dst, offset) }
