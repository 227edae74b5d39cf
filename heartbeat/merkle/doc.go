// Package merkle implements the scheme that prepares every challenge when it
// encodes the file (PROTOCOL.md, section 4). Each leaf of a Merkle tree commits to
// a keyed hash of a part of the file. A challenge discloses the key of the next
// leaf. The proof is the keyed hash, with the branch that leads from the leaf to
// the root. The node stores only the root.
//
// A tag has a fixed number of challenges, so the scheme suits small files and few
// challenges. [Heartbeat] is the node's side and [Prover] is the farmer's side.
// Both include [Wire], which converts objects between encodings and needs no keys.
//
// The invariant (PROTOCOL.md, section 7): a proof is valid only if its blob is 32
// bytes long, if its branch has a row for every level of the tree, and if the
// branch ends at the leaf that the challenge names. JSON that has the members of a
// proof, but breaks one of these conditions, is an invalid proof and not an error.
package merkle
