// Package cfb is a block cipher in cipher feedback mode, encrypting byte by
// byte, in the two segment sizes that the schemes draw their pseudorandom
// numbers with: [Full], which feeds back whole blocks, and [Byte], which feeds
// back one byte at a time (NIST SP 800-38A, section 6.3, with s = 128 and
// s = 8). [Chains] is Full for many short messages at once, with what their
// key has in common done once.
//
// The standard library has only the first, and has deprecated it because CFB
// does not authenticate. Nothing here is a secret message for somebody else to
// tamper with, except Swizzle's state, which carries its own HMAC; do not use
// the package for anything new.
//
// The invariant: how the input is cut into calls, or run side by side with
// others, does not change the output.
//
//go:generate go run -C ../../_asm ./cfb -pkg cfb -out ../internal/cfb/chains_amd64.s -stubs ../internal/cfb/stubs_amd64.go
package cfb
