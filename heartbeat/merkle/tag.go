package merkle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	tagVersion    = 1
	tagHeaderSize = 1 + 8 + 8 + 1 + 4
)

// fileTag is what the farmer proves with. Its binary form is a version byte,
// the size of the file and of a challenge in it as big-endian i64, the order
// as one byte, the number of nodes that are not empty as big-endian u32, and
// those nodes, of 32 bytes each.
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

// tagHeader is a tag before its nodes have been read.
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
	// All inner nodes and at least one leaf; at most all but the unused last.
	if width := 1 << h.order; h.count < width || h.count > 2*width-1 {
		return fmt.Errorf("%d nodes in a tree of order %d", h.count, h.order)
	}
	return nil
}

// parseTag reads the binary form; the tag shares the memory of b.
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
