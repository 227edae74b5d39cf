// Package merkle is the scheme in which every challenge is decided when the
// file is encoded (PROTOCOL.md, section 4): each leaf of a Merkle tree commits
// to one keyed hash of one part of the file, a challenge discloses the key of
// the next leaf, and a proof is that hash with the branch that leads from the
// leaf to the root, which is all that the node keeps.
//
// It suits small files and few challenges: a tag has a fixed number of
// challenges and then is spent. [Heartbeat] is the node's side, [Prover] the
// farmer's, and [Wire], a part of both, the formats that need no keys.
//
// The invariant is that of section 7: a proof is valid only if its blob is 32
// bytes long, its branch goes all the way down, and it ends at the leaf whose
// number the challenge names. What is not so shaped is an invalid proof, not
// an error, as long as its JSON has the members of a proof.
package merkle
