// Package wide is the arithmetic of Swizzle (PROTOCOL.md, section 5): sums of
// products of large numbers that are not negative. [Sums] are sums over many
// chunks, which a proof consists of and which are reduced once, at the end;
// a [Dot] is the sum over the sectors of a chunk, which makes its tag.
//
// Numbers come as bytes, big-endian and without gaps, as files and proofs have
// them. Those of 1024 bits go through kernels for AVX-512 with IFMA, its 52-bit
// multiply-accumulate: eight numbers at a time, each in the same lane of 20
// vectors. Numbers of another size, other processors, and the build tag purego
// have math/big.
//
// The invariant: both give the same results.
package wide
