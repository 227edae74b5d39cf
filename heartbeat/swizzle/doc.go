// Package swizzle is the scheme of Shacham and Waters, "Compact Proofs of
// Retrievability" (ASIACRYPT 2008), section 3.2, with private verification, in
// the form of PROTOCOL.md, section 5. Every chunk of a file has an authenticator:
// a linear function of its content that only the node can compute. A challenge
// determines chunks and coefficients by two pseudorandom functions. A proof is
// that linear combination of the chunks and of their authenticators.
//
// The scheme suits large files that are stored for long: the number of challenges
// is not limited, and the tag is a tenth of the size of the file. [Heartbeat] is
// the node's side and [Prover] the farmer's. [Wire], a part of both, converts
// between the forms that need no keys.
//
// Section 5 defines the binary form of each object; the wire form is its base64.
// The invariant: every object that a farmer sends has exactly one binary form,
// because integers that are not as short as possible are malformed. Lengths are
// compared with the available bytes before anything is allocated for them.
//
// Chunks are processed in batches, because the hashes, ciphers and products of
// different chunks do not depend on each other. The kernels of internal/sha256x,
// internal/aes256 and internal/wide compute many at a time. Encoding divides the
// file among several cores, and also passes its bytes to a hash, so that they are
// read once.
package swizzle
