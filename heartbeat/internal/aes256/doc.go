// Package aes256 is AES-256 on many blocks at once: [Cipher] has the key
// schedule, and which of the processor's instructions to use with it, for the
// kernels that are built on it, and the keystream of counter mode.
//
// It is not for messages that somebody may tamper with: nothing here
// authenticates. The invariant: every kernel gives the same bytes.
//
//go:generate go run -C ../../_asm ./aes256 -pkg aes256 -out ../internal/aes256/aes256_amd64.s -stubs ../internal/aes256/stubs_amd64.go
package aes256
