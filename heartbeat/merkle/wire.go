package merkle

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/internal/strictjson"
)

// Wire turns tags, challenges and proofs into JSON and back, which takes no
// keys.
type Wire struct{}

var _ heartbeat.Wire = Wire{}

// WriteTagJSON writes the wire form of a binary tag, as many nodes at a time as
// its buffers hold.
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

	// A bufio.Writer keeps its first error and gives it at Flush.
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
	// The nodes fill all places but one at most.
	for range 2<<header.order - header.count - 1 {
		out.WriteString(`"",`)
	}
	out.WriteString(`""`)
	fmt.Fprintf(out, `],"order":%d,"leaves":[]},"chunksz":%d,"filesz":%d}`, header.order, header.chunk, header.size)
	if _, err := in.ReadByte(); err != io.EOF {
		return malformed("tag", errors.New("bytes after the last node"))
	}
	if out == w { // the caller's, who may have more to send with it
		return nil
	}
	return out.Flush()
}

func readError(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return malformed("tag", io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("merkle: read the tag: %w", err)
}

// ParseTag reads the wire form of a tag.
func (Wire) ParseTag(wire json.RawMessage) ([]byte, error) {
	t, err := parseTagJSON(wire)
	if err != nil {
		return nil, malformed("tag", err)
	}
	return append(t.header(), t.tree.nodes...), nil
}

func parseTagJSON(wire json.RawMessage) (t fileTag, err error) {
	object, err := strictjson.Parse(wire)
	if err != nil {
		return t, err
	}
	var h tagHeader
	if h.size, err = object.Int64("filesz"); err != nil {
		return t, err
	}
	if h.chunk, err = object.Int64("chunksz"); err != nil {
		return t, err
	}
	tree, err := object.Member("tree")
	if err != nil {
		return t, err
	}
	order, err := tree.Int64("order")
	if err != nil {
		return t, fmt.Errorf("tree: %w", err)
	}
	nodes, err := tree.Member("nodes")
	if err != nil {
		return t, fmt.Errorf("tree: %w", err)
	}
	if order < 0 || order > maxOrder {
		return t, fmt.Errorf("tree: order %d is not from 0 to %d", order, maxOrder)
	}
	t = fileTag{size: h.size, chunk: h.chunk}
	if t.tree, err = parseNodes(nodes, int(order)); err != nil {
		return t, fmt.Errorf("tree: %w", err)
	}
	h.order, h.count = int(order), t.tree.count()
	return t, h.check()
}

// parseNodes reads the nodes of a tree, of which the empty ones must be last.
func parseNodes(nodes strictjson.Value, order int) (t tree, err error) {
	elements, err := nodes.Elements()
	if err != nil {
		return t, fmt.Errorf("nodes: %w", err)
	}
	t.order = order
	t.nodes = make([]byte, 0, len(nodes)*3/4)
	all := 0
	for element := range elements {
		before := len(t.nodes)
		if t.nodes, err = element.AppendBase64(t.nodes); err != nil {
			return t, fmt.Errorf("node %d: %w", all, err)
		}
		size := len(t.nodes) - before
		if size != 0 && (size != hashSize || before != all*hashSize) {
			return t, fmt.Errorf("node %d is %d bytes, want %d, or an empty one after all others", all, size, hashSize)
		}
		all++
	}
	if all != 2<<order {
		return t, fmt.Errorf("%d nodes in a tree of order %d", all, order)
	}
	return t, nil
}

// wireChallenge and wireProof are written, never read: encoding/json is too
// lenient a reader.
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

// ChallengeJSON gives the wire form of a binary challenge.
func (Wire) ChallengeJSON(challenge []byte) (json.RawMessage, error) {
	c, err := parseChallenge(challenge)
	if err != nil {
		return nil, err
	}
	return mustMarshal(wireChallenge{Seed: c.seed[:], Index: c.index}), nil
}

// ParseChallenge reads the wire form of a challenge.
func (Wire) ParseChallenge(wire json.RawMessage) ([]byte, error) {
	object, err := strictjson.Parse(wire)
	if err != nil {
		return nil, malformed("challenge", err)
	}
	seed, err := object.Base64("seed")
	if err == nil && len(seed) != seedSize {
		err = fmt.Errorf("the seed is %d bytes, want %d", len(seed), seedSize)
	}
	if err != nil {
		return nil, malformed("challenge", err)
	}
	index, err := object.Int64("index")
	if err == nil && (index < 0 || index >= MaxChallenges) {
		err = fmt.Errorf("the index %d is not from 0 to %d", index, MaxChallenges-1)
	}
	if err != nil {
		return nil, malformed("challenge", err)
	}
	return fileChallenge{index: int(index), seed: [seedSize]byte(seed)}.marshal(), nil
}

// ProofJSON gives the wire form of a binary proof.
func (Wire) ProofJSON(proofBytes []byte) (json.RawMessage, error) {
	p, err := parseProof(proofBytes, [][2][]byte{})
	if err != nil {
		return nil, err
	}
	var w wireProof
	w.Leaf.Index, w.Leaf.Blob, w.Branch.Rows = p.index, p.blob, p.rows
	return mustMarshal(w), nil
}
