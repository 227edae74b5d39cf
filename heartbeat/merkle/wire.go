package merkle

import (
	"bufio"
	"encoding/base64"
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

// WriteTagJSON writes the wire form of a binary tag, node after node.
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
	var node [hashSize]byte
	text := make([]byte, 0, base64.StdEncoding.EncodedLen(hashSize))
	for k := range header.count {
		if _, err := io.ReadFull(in, node[:]); err != nil {
			return readError(err)
		}
		if k > 0 {
			out.WriteByte(',')
		}
		out.WriteByte('"')
		out.Write(base64.StdEncoding.AppendEncode(text, node[:]))
		out.WriteByte('"')
	}
	for range 2<<header.order - header.count {
		out.WriteString(`,""`)
	}
	fmt.Fprintf(out, `],"order":%d,"leaves":[]},"chunksz":%d,"filesz":%d}`, header.order, header.chunk, header.size)
	if _, err := in.ReadByte(); err != io.EOF {
		return malformed("tag", errors.New("bytes after the last node"))
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
	header, texts, err := parseTagJSON(wire)
	if err != nil {
		return nil, malformed("tag", err)
	}
	t := fileTag{size: header.size, chunk: header.chunk}
	t.tree = tree{order: header.order, nodes: make([]byte, 0, header.count*hashSize)}
	for k, text := range texts[:header.count] {
		node, err := strictjson.DecodeBase64(text)
		if err == nil && len(node) != hashSize {
			err = fmt.Errorf("%d bytes, want %d", len(node), hashSize)
		}
		if err != nil {
			return nil, malformed("tag", fmt.Errorf("node %d: %w", k, err))
		}
		t.tree.nodes = append(t.tree.nodes, node...)
	}
	return append(t.header(), t.tree.nodes...), nil
}

// parseTagJSON gives the header of a tag and all its nodes, in base64, of
// which the first header.count are not empty.
func parseTagJSON(wire json.RawMessage) (h tagHeader, nodes []string, err error) {
	object, err := strictjson.ParseObject(wire)
	if err != nil {
		return h, nil, err
	}
	if h.size, err = object.Int64("filesz"); err != nil {
		return h, nil, err
	}
	if h.chunk, err = object.Int64("chunksz"); err != nil {
		return h, nil, err
	}
	tree, err := object.Object("tree")
	if err != nil {
		return h, nil, err
	}
	order, err := tree.Int64("order")
	if err != nil {
		return h, nil, err
	}
	raw, err := tree.Member("nodes")
	if err != nil {
		return h, nil, err
	}
	if nodes, err = strictjson.ParseStrings(raw); err != nil {
		return h, nil, fmt.Errorf("nodes: %w", err)
	}
	if order < 0 || order > maxOrder || len(nodes) != 2<<order {
		return h, nil, fmt.Errorf("%d nodes in a tree of order %d", len(nodes), order)
	}
	h.order, h.count = int(order), len(nodes)
	for h.count > 0 && nodes[h.count-1] == "" {
		h.count--
	}
	return h, nodes, h.check()
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
	object, err := strictjson.ParseObject(wire)
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
	p, err := parseProof(proofBytes)
	if err != nil {
		return nil, err
	}
	var w wireProof
	w.Leaf.Index, w.Leaf.Blob, w.Branch.Rows = p.index, p.blob, p.rows
	return mustMarshal(w), nil
}

// ParseProof reads the wire form of a proof, of whatever shape: a blob of the
// wrong length, or a branch with rows too few or too many, is a proof that is
// not valid.
func (Wire) ParseProof(wire json.RawMessage) ([]byte, error) {
	p, err := parseProofJSON(wire)
	if err != nil {
		return nil, malformed("proof", err)
	}
	return p.marshal(), nil
}

func parseProofJSON(wire json.RawMessage) (p proof, err error) {
	object, err := strictjson.ParseObject(wire)
	if err != nil {
		return p, err
	}
	leaf, err := object.Object("leaf")
	if err != nil {
		return p, err
	}
	if p.index, err = leaf.Int64("index"); err != nil {
		return p, fmt.Errorf("leaf: %w", err)
	}
	if p.blob, err = leaf.Base64("blob"); err != nil {
		return p, fmt.Errorf("leaf: %w", err)
	}
	if err := checkEntry(len(p.blob)); err != nil {
		return p, fmt.Errorf("leaf: %w", err)
	}
	branch, err := object.Object("branch")
	if err != nil {
		return p, err
	}
	raw, err := branch.Member("rows")
	if err != nil {
		return p, fmt.Errorf("branch: %w", err)
	}
	rows, err := strictjson.ParseStringRows(raw)
	if err != nil {
		return p, fmt.Errorf("branch: %w", err)
	}
	p.rows, err = decodeRows(rows)
	return p, err
}

func decodeRows(texts [][]string) ([][2][]byte, error) {
	if len(texts) > maxRows {
		return nil, fmt.Errorf("branch: %d rows, at most %d are allowed", len(texts), maxRows)
	}
	rows := make([][2][]byte, len(texts))
	for i, row := range texts {
		if len(row) != 2 {
			return nil, fmt.Errorf("branch: row %d has %d entries, want left and right", i, len(row))
		}
		for side, text := range row {
			entry, err := strictjson.DecodeBase64(text)
			if err == nil {
				err = checkEntry(len(entry))
			}
			if err != nil {
				return nil, fmt.Errorf("branch: row %d: %w", i, err)
			}
			rows[i][side] = entry
		}
	}
	return rows, nil
}
