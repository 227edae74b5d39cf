// Package swizzle implements the scheme of Shacham and Waters, "Compact Proofs of
// Retrievability" (ASIACRYPT 2008), section 3.2, with private verification, as
// PROTOCOL.md, section 5, defines it. Every chunk of a file has an authenticator: a
// linear function of the chunk's content that only the node can compute. Two
// pseudorandom functions determine the chunks and the coefficients of a challenge.
// A proof is the linear combination of these chunks and of their authenticators.
//
// The scheme suits large files that are stored for a long time. The number of
// challenges has no limit, and the tag is a tenth of the size of the file.
// [Heartbeat] is the node's side and [Prover] is the farmer's side. Both include
// [Wire], which converts objects between encodings and needs no keys.
//
// Section 5 defines the binary form of each object. The wire form is the base64 of
// the binary form. The invariant: every object that a farmer sends has exactly one
// binary form, because integers that are not as short as possible are malformed. A
// decoder compares each length with the number of available bytes before it
// allocates memory.
//
// Chunks are processed in batches, because the hashes, ciphers and products of
// different chunks do not depend on each other. The kernels of internal/sha256x,
// internal/aes256 and internal/wide compute many of them at a time. Encoding
// divides the file among several cores. It also passes the bytes of the file to a
// hash, so that they are read only once.
package swizzle
