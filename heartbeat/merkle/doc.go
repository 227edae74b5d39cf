// Package merkle is the scheme that prepares every challenge when it encodes the
// file (PROTOCOL.md, section 4). Each leaf of a Merkle tree commits to one keyed
// hash of one part of the file. A challenge discloses the key of the next leaf.
// The proof is that hash, with the branch that leads from the leaf to the root.
// The node stores only the root.
//
// The scheme suits small files and few challenges, because a tag has a fixed
// number of challenges. [Heartbeat] is the node's side and [Prover] the
// farmer's. [Wire], a part of both, converts between the forms that need no keys.
//
// The invariant is that of section 7: a proof is valid only if its blob is 32
// bytes long, its branch has a row for every level of the tree, and it ends at
// the leaf that the challenge names. JSON that has the members of a proof, but
// not this shape, is an invalid proof and not an error.
package merkle
