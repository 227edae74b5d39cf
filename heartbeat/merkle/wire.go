package merkle

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/wirejson"
)

// Wire converts tags, challenges and proofs between their binary form and JSON. The
// conversion needs no keys.
type Wire struct{}

var _ heartbeat.Wire = Wire{}

// WriteTagJSON writes the wire form of a binary tag. At any time it holds only the
// tree nodes that fit into its buffers.
func (Wire) WriteTagJSON(w io.Writer, tag io.Reader) error {
	in := bufio.NewReader(tag)
	var start [tagHeaderSize]byte
	if _, err := io.ReadFull(in, start[:]); err != nil {
		return readError(err)
	}
	header, err := parseTagHeader(start)
	if err != nil {
		return err
	}

	// A bufio.Writer keeps its first error and returns it from Flush.
	out := bufio.NewWriter(w)
	out.WriteString(`{"tree":{"nodes":[`)
	for left := header.count; left > 0; {
		n := min(left, max(in.Buffered()/hashSize, 1), max(out.Available()/nodeText, 1))
		nodes, err := in.Peek(n * hashSize)
		if err != nil {
			return readError(err)
		}
		if _, err := out.Write(appendNodes(out.AvailableBuffer(), nodes)); err != nil {
			return err
		}
		in.Discard(n * hashSize)
		left -= n
	}
	// Write the empty tree nodes.
	for range 2<<header.order - header.count - 1 {
		out.WriteString(`"",`)
	}
	out.WriteString(`""`)
	fmt.Fprintf(out, `],"order":%d,"leaves":[]},"chunksz":%d,"filesz":%d}`, header.order, header.chunk, header.size)
	if _, err := in.ReadByte(); err != io.EOF {
		return malformed("tag", errors.New("bytes after the last node"))
	}
	if out == w { // the caller owns this writer and may write more before it flushes
		return nil
	}
	return out.Flush()
}

// nodeText is the length of a tree node in the wire form: base64 in quotes, and a
// comma.
const nodeText = len(`"",`) + (hashSize+2)/3*4

// sextets holds the two base64 characters for every value of 12 bits. The first
// character is in the lower byte.
var sextets = func() (pairs [1 << 12]uint16) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range pairs {
		pairs[i] = uint16(alphabet[i>>6]) | uint16(alphabet[i&63])<<8
	}
	return pairs
}()

// appendNodes appends the wire form of whole tree nodes, each with a comma after
// it. A hand-out consists mostly of tree nodes, and with encoding/base64 it would
// take 2.3 times as long to write a tag.
func appendNodes(text, nodes []byte) []byte {
	at, size := len(text), len(nodes)/hashSize*nodeText
	text = slices.Grow(text, size)[:at+size]
	for ; len(nodes) >= hashSize; nodes, at = nodes[hashSize:], at+nodeText {
		putNode((*[nodeText]byte)(text[at:]), (*[hashSize]byte)(nodes))
	}
	return text
}

func putNode(text *[nodeText]byte, node *[hashSize]byte) {
	text[0] = '"'
	binary.LittleEndian.PutUint64(text[1:], eightChars(binary.BigEndian.Uint64(node[0:])))
	binary.LittleEndian.PutUint64(text[9:], eightChars(binary.BigEndian.Uint64(node[6:])))
	binary.LittleEndian.PutUint64(text[17:], eightChars(binary.BigEndian.Uint64(node[12:])))
	binary.LittleEndian.PutUint64(text[25:], eightChars(binary.BigEndian.Uint64(node[18:])))
	binary.LittleEndian.PutUint64(text[33:], eightChars(binary.BigEndian.Uint64(node[24:])))
	last := uint64(node[30])<<56 | uint64(node[31])<<48
	binary.LittleEndian.PutUint32(text[41:], uint32(eightChars(last)))
	text[44], text[45], text[46] = '=', '"', ','
}

// eightChars returns the base64 of the upper 6 bytes of b. The first character is
// in the lowest byte.
func eightChars(b uint64) uint64 {
	return uint64(sextets[b>>52]) | uint64(sextets[b>>40&0xfff])<<16 |
		uint64(sextets[b>>28&0xfff])<<32 | uint64(sextets[b>>16&0xfff])<<48
}

func readError(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return malformed("tag", io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("merkle: read the tag: %w", err)
}

// ParseTag parses the wire form of a tag.
func (Wire) ParseTag(wire json.RawMessage) ([]byte, error) {
	t, err := parseTagJSON(wire)
	if err != nil {
		return nil, malformed("tag", err)
	}
	return append(t.header(), t.tree.nodes...), nil
}

func parseTagJSON(wire json.RawMessage) (t fileTag, err error) {
	t.tree.nodes = make([]byte, 0, len(wire)*3/4)
	var order int64
	var all int // number of all tree nodes, including the empty ones
	in := wirejson.Of(wire)
	in.Members(func(i int) (err error) {
		switch i {
		case 0:
			t.size, err = in.Int64()
		case 1:
			t.chunk, err = in.Int64()
		case 2:
			err = in.Members(func(i int) (err error) {
				if i == 0 {
					order, err = in.Int64()
				} else {
					t.tree.nodes, all, err = readNodes(&in, t.tree.nodes[:0])
				}
				return err
			}, "order", "nodes")
		}
		return err
	}, "filesz", "chunksz", "tree")
	if err := in.End(); err != nil {
		return t, err
	}
	if order < 0 || order > maxOrder {
		return t, fmt.Errorf("tree: order %d is not from 0 to %d", order, maxOrder)
	}
	if all != 2<<order {
		return t, fmt.Errorf("tree: %d nodes in a tree of order %d", all, order)
	}
	t.tree.order = int(order)
	return t, tagHeader{size: t.size, chunk: t.chunk, order: t.tree.order, count: t.tree.count()}.check()
}

// readNodes reads the nodes of a tree and appends those that are not empty to
// nodes. The empty tree nodes must come last. all is the number of all tree nodes.
func readNodes(in *wirejson.Reader, nodes []byte) (_ []byte, all int, err error) {
	all, err = in.Array(func(i int) (err error) {
		before := len(nodes)
		nodes, err = in.AppendBase64(nodes, maxEntry)
		if size := len(nodes) - before; err == nil && size != 0 && (size != hashSize || before != i*hashSize) {
			err = fmt.Errorf("tree: node %d is %d bytes, want %d, or an empty one after all others", i, size, hashSize)
		}
		return err
	})
	return nodes, all, err
}

// wireChallenge and wireProof are only used to write JSON. Reads do not use them,
// because encoding/json accepts too much.
type wireChallenge struct {
	Seed  []byte `json:"seed"`
	Index int    `json:"index"`
}

type wireProof struct {
	Leaf struct {
		Index int64  `json:"index"`
		Blob  []byte `json:"blob"`
	} `json:"leaf"`
	Branch struct {
		Rows [][2][]byte `json:"rows"`
	} `json:"branch"`
}

// ChallengeJSON returns the wire form of a binary challenge.
func (Wire) ChallengeJSON(challenge []byte) (json.RawMessage, error) {
	c, err := parseChallenge(challenge)
	if err != nil {
		return nil, err
	}
	return mustMarshal(wireChallenge{Seed: c.seed[:], Index: c.index}), nil
}

// ParseChallenge parses the wire form of a challenge.
func (Wire) ParseChallenge(wire json.RawMessage) ([]byte, error) {
	var seed []byte
	var index int64
	in := wirejson.Of(wire)
	in.Members(func(i int) (err error) {
		if i == 0 {
			seed, err = in.AppendBase64(nil, maxEntry)
		} else {
			index, err = in.Int64()
		}
		return err
	}, "seed", "index")
	err := in.End()
	switch {
	case err != nil:
	case len(seed) != seedSize:
		err = fmt.Errorf("the seed is %d bytes, want %d", len(seed), seedSize)
	case index < 0 || index >= MaxChallenges:
		err = fmt.Errorf("the index %d is not from 0 to %d", index, MaxChallenges-1)
	}
	if err != nil {
		return nil, malformed("challenge", err)
	}
	return fileChallenge{index: int(index), seed: [seedSize]byte(seed)}.marshal(), nil
}

// ProofJSON returns the wire form of a binary proof.
func (Wire) ProofJSON(proofBytes []byte) (json.RawMessage, error) {
	p, err := parseProof(proofBytes, [][2][]byte{})
	if err != nil {
		return nil, err
	}
	var w wireProof
	w.Leaf.Index, w.Leaf.Blob, w.Branch.Rows = p.index, p.blob, p.rows
	return mustMarshal(w), nil
}
