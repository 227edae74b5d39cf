// Package sha256x hashes many independent messages at once with SHA-256
// (FIPS 180-4). One message keeps a processor waiting for its own last step;
// sixteen, in the lanes of its vectors, keep it busy.
//
// Where the processor has no vectors for it, or with the build tag purego, the
// same functions go one message at a time through crypto/sha256, which is also
// the right choice for a single message anywhere. The invariant: both give the
// digests that crypto/sha256 gives.
package sha256x
