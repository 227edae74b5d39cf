// Package swizzle is the scheme of Shacham and Waters, "Compact Proofs of
// Retrievability" (ASIACRYPT 2008), section 3.2, with private verification, in
// the form that PROTOCOL.md, section 5, gives it. Every chunk of a file has an
// authenticator, a linear function of its content that only the node can make;
// a challenge names chunks and coefficients by two pseudorandom functions, and
// a proof is that linear combination of the chunks and of their authenticators.
//
// It suits large files that are kept long: a tag answers challenges without
// end, and costs a tenth of the file. [Heartbeat] is the node's side, [Prover]
// the farmer's, and [Wire], a part of both, the formats that need no keys.
//
// The binary form of each object is that of section 5 and the wire form is its
// base64. The invariant: of everything that a farmer sends there is exactly
// one binary form, since integers that are not as short as possible are
// refused, and lengths are held against the bytes at hand before anything is
// allocated for them.
//
// Chunks are gone through in batches, since the hashes, ciphers and products of
// different chunks do not wait for each other: internal/sha256x, internal/cfb
// and internal/wide have kernels that take many at a time, and are where to
// look for what a processor must have for them. Encoding spreads the file over
// several processors and gives its bytes to whoever wants to hash them too, so
// that they are made once.
package swizzle
