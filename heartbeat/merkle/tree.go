package merkle

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"strconv"

	"github.com/driveshare/downstream-node/heartbeat/internal/sha256x"
)

// tree is a Merkle tree in heap order. The root is tree node 0, and the children of
// tree node k are 2k+1 and 2k+2. The tree has room for width = 1<<order leaves. The
// first leaves are in use, and the others are empty. The wire form has 2*width tree
// nodes. The last of these tree nodes is unused.
//
// nodes holds the tree nodes that are not empty. They come before the empty tree
// nodes, because inner nodes are never empty.
type tree struct {
	order int
	nodes []byte
}

// orderOf returns ceil(log2(leaves)), for at least one leaf.
func orderOf(leaves int) int { return bits.Len(uint(leaves - 1)) }

// newTree returns the tree over at least one leaf hash.
func newTree(leaves [][hashSize]byte) tree {
	order := orderOf(len(leaves))
	inner := 1<<order - 1
	t := tree{order: order, nodes: make([]byte, (inner+len(leaves))*hashSize)}
	for i := range leaves {
		copy(t.nodes[(inner+i)*hashSize:], leaves[i][:])
	}
	// The tree nodes of one level do not depend on each other.
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

// width returns the number of leaves for which the tree has room.
func (t tree) width() int { return 1 << t.order }

// count returns the number of tree nodes that are not empty.
func (t tree) count() int { return len(t.nodes) / hashSize }

func (t tree) leaves() int { return t.count() - (t.width() - 1) }

func (t tree) root() [hashSize]byte { return [hashSize]byte(t.nodes[:hashSize]) }

// node returns tree node k. It returns no bytes if that node is empty.
func (t tree) node(k int) []byte { return t.span(k, k+1) }

// span returns the tree nodes in [from, to) that are not empty.
func (t tree) span(from, to int) []byte {
	from, to = min(from, t.count()), min(to, t.count())
	return t.nodes[from*hashSize : to*hashSize]
}

// branch returns the pairs of siblings from leaf i up to the children of the root.
func (t tree) branch(i int) [][2][]byte {
	rows := make([][2][]byte, 0, t.order)
	for k := t.width() - 1 + i; k > 0; k = (k - 1) / 2 {
		left := (k-1)/2*2 + 1
		rows = append(rows, [2][]byte{t.node(left), t.node(left + 1)})
	}
	return rows
}

// validBranch reports whether rows is the branch from leaf i, with the hash leaf,
// up to the root of a tree of this order.
//
// Only the position of a hash shows whether it is a leaf or an inner node. So
// validBranch checks the whole position. There must be one row per level, and on
// each level the hash must be on the side that i requires. Otherwise a farmer could
// present an inner node as a leaf, with a shorter branch or with a branch through
// the other child.
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

// leafHash returns H(blob || i in decimal ASCII).
func leafHash(blob []byte, i int64) [hashSize]byte {
	return sha256.Sum256(appendLeaf(make([]byte, 0, leafSize), blob, i))
}

// leafSize is the maximum size in bytes of a message whose hash is a leaf. The
// message consists of a blob and a number.
const leafSize = hashSize + 20

// appendLeaf appends the message whose hash is the leaf: blob || i.
func appendLeaf(b, blob []byte, i int64) []byte {
	return strconv.AppendInt(append(b, blob...), i, 10)
}

// nodeHash returns H(left || right).
func nodeHash(left, right []byte) [hashSize]byte {
	return sha256.Sum256(append(append(make([]byte, 0, 2*hashSize), left...), right...))
}

const (
	tagVersion    = 1
	tagHeaderSize = 1 + 8 + 8 + 1 + 4
)

// fileTag is a tag. Its binary form is a version byte, the size of the file and the
// size of the part that a challenge covers as big-endian i64, the order of the tree
// as one byte, the number of tree nodes that are not empty as big-endian u32, and
// these tree nodes. Each tree node has 32 bytes.
type fileTag struct {
	size, chunk int64
	tree        tree
}

func writeTag(w io.Writer, t fileTag) error {
	if _, err := w.Write(t.header()); err != nil {
		return err
	}
	_, err := w.Write(t.tree.nodes)
	return err
}

func (t fileTag) header() []byte {
	b := make([]byte, 0, tagHeaderSize)
	b = append(b, tagVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(t.size))
	b = binary.BigEndian.AppendUint64(b, uint64(t.chunk))
	b = append(b, byte(t.tree.order))
	return binary.BigEndian.AppendUint32(b, uint32(t.tree.count()))
}

// tagHeader is a tag without its tree nodes.
type tagHeader struct {
	size, chunk  int64
	order, count int
}

func parseTagHeader(b [tagHeaderSize]byte) (tagHeader, error) {
	if b[0] != tagVersion {
		return tagHeader{}, malformed("tag", fmt.Errorf("version %d, want %d", b[0], tagVersion))
	}
	h := tagHeader{
		size:  int64(binary.BigEndian.Uint64(b[1:])),
		chunk: int64(binary.BigEndian.Uint64(b[9:])),
		order: int(b[17]),
		count: int(binary.BigEndian.Uint32(b[18:])),
	}
	if err := h.check(); err != nil {
		return tagHeader{}, malformed("tag", err)
	}
	return h, nil
}

func (h tagHeader) check() error {
	switch {
	case h.size < 0 || h.chunk < 0 || h.chunk > h.size:
		return fmt.Errorf("chunks of %d bytes in a file of %d", h.chunk, h.size)
	case h.order < 0 || h.order > maxOrder:
		return fmt.Errorf("order %d is not from 0 to %d", h.order, maxOrder)
	}
	// All inner nodes and at least one leaf must exist. At most, all tree nodes
	// exist except for the unused last one.
	if width := 1 << h.order; h.count < width || h.count > 2*width-1 {
		return fmt.Errorf("%d nodes in a tree of order %d", h.count, h.order)
	}
	return nil
}

// parseTag parses the binary form. The tag shares the memory of b.
func parseTag(b []byte) (fileTag, error) {
	if len(b) < tagHeaderSize {
		return fileTag{}, malformed("tag", errors.New("cut short"))
	}
	h, err := parseTagHeader([tagHeaderSize]byte(b))
	if err != nil {
		return fileTag{}, err
	}
	nodes := b[tagHeaderSize:]
	if len(nodes) != h.count*hashSize {
		return fileTag{}, malformed("tag", fmt.Errorf("%d bytes of nodes, want %d", len(nodes), h.count*hashSize))
	}
	return fileTag{size: h.size, chunk: h.chunk, tree: tree{order: h.order, nodes: nodes}}, nil
}
