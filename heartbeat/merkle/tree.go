package merkle

import (
	"crypto/sha256"
	"math/bits"
	"strconv"

	"github.com/driveshare/downstream-node/heartbeat/internal/sha256x"
)

// tree is a Merkle tree in heap order: the children of node k are 2k+1 and
// 2k+2, the root is node 0. It has width = 1<<order places for leaves, of
// which the first are taken, and 2*width nodes, the last of them unused, as
// the wire form has it.
//
// The nodes that are not empty come first, because inner nodes never are, so
// only those are held, one after the other.
type tree struct {
	order int
	nodes []byte
}

// orderOf gives ceil(log2 leaves), for at least one leaf.
func orderOf(leaves int) int { return bits.Len(uint(leaves - 1)) }

// newTree makes the tree over at least one leaf hash.
func newTree(leaves [][hashSize]byte) tree {
	order := orderOf(len(leaves))
	inner := 1<<order - 1
	t := tree{order: order, nodes: make([]byte, (inner+len(leaves))*hashSize)}
	for i := range leaves {
		copy(t.nodes[(inner+i)*hashSize:], leaves[i][:])
	}
	// Level by level, whose nodes do not depend on each other.
	pairs := make([][]byte, 0, (inner+1)/2)
	hashes := make([][hashSize]byte, cap(pairs))
	for width := (inner + 1) / 2; width > 0; width /= 2 {
		pairs = pairs[:0]
		for k := width - 1; k < 2*width-1; k++ {
			pairs = append(pairs, t.span(2*k+1, 2*k+3))
		}
		sha256x.Sum(hashes, pairs)
		for i := range pairs {
			copy(t.nodes[(width-1+i)*hashSize:], hashes[i][:])
		}
	}
	return t
}

// width is the number of places for leaves.
func (t tree) width() int { return 1 << t.order }

// count is the number of nodes that are not empty.
func (t tree) count() int { return len(t.nodes) / hashSize }

// leaves is the number of leaves.
func (t tree) leaves() int { return t.count() - (t.width() - 1) }

// root is node 0.
func (t tree) root() [hashSize]byte { return [hashSize]byte(t.nodes[:hashSize]) }

// node gives node k, of no bytes where that is an empty one.
func (t tree) node(k int) []byte { return t.span(k, k+1) }

// span gives the nodes from one to before the other that are not empty.
func (t tree) span(from, to int) []byte {
	from, to = min(from, t.count()), min(to, t.count())
	return t.nodes[from*hashSize : to*hashSize]
}

// branch gives the pairs of siblings from leaf i up to the root's children.
func (t tree) branch(i int) [][2][]byte {
	rows := make([][2][]byte, 0, t.order)
	for k := t.width() - 1 + i; k > 0; k = (k - 1) / 2 {
		left := (k-1)/2*2 + 1
		rows = append(rows, [2][]byte{t.node(left), t.node(left + 1)})
	}
	return rows
}

// validBranch says whether rows lead from leaf hash number i of a tree of that
// order up to root.
//
// Leaf and inner hashes are not told apart by anything but their place, so the
// place is checked in full: as many rows as the tree has levels, and on each
// level the node on the side that i says. A branch that was shorter, or turned
// off to the other side, would let an inner node pass for a leaf.
func validBranch(root [hashSize]byte, order int, i int64, leaf [hashSize]byte, rows [][2][]byte) bool {
	if len(rows) != order {
		return false
	}
	node := leaf
	for level, row := range rows {
		side := i >> level & 1
		if string(row[side]) != string(node[:]) {
			return false
		}
		if sibling := len(row[1-side]); sibling != 0 && sibling != hashSize {
			return false
		}
		node = nodeHash(row[0], row[1])
	}
	return node == root
}

// leafHash is H(blob || i in decimal ASCII).
func leafHash(blob []byte, i int64) [hashSize]byte {
	return sha256.Sum256(appendLeaf(make([]byte, 0, leafSize), blob, i))
}

// leafSize is the most bytes that a leaf can have: a blob and a number.
const leafSize = hashSize + 20

// appendLeaf appends what a leaf hash is the hash of: blob || i.
func appendLeaf(b, blob []byte, i int64) []byte {
	return strconv.AppendInt(append(b, blob...), i, 10)
}

// nodeHash is H(left || right).
func nodeHash(left, right []byte) [hashSize]byte {
	return sha256.Sum256(append(append(make([]byte, 0, 2*hashSize), left...), right...))
}
