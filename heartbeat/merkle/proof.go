package merkle

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/driveshare/downstream-node/heartbeat/wirejson"
)

const (
	// If a proof has the wrong shape but is within these limits, it is an invalid
	// proof. If it exceeds a limit, it is malformed. maxRows is greater than the
	// order of any tree. maxEntry is greater than the size of a hash in bytes.
	maxRows  = 32
	maxEntry = 1024
)

// proof is a proof of any shape that the wire form allows, valid or not. Its binary
// form is the index as big-endian i64, the blob, the number of rows as one byte,
// and the left and right entry of each row. The length of the blob and of each
// entry comes before it, as big-endian u16.
type proof struct {
	index int64
	blob  []byte
	rows  [][2][]byte
}

func (p proof) marshal() []byte {
	b := make([]byte, 0, 8+2+hashSize+1+len(p.rows)*2*(2+hashSize))
	b = binary.BigEndian.AppendUint64(b, uint64(p.index))
	b = appendEntry(b, p.blob)
	b = append(b, byte(len(p.rows)))
	for _, row := range p.rows {
		b = appendEntry(b, row[0])
		b = appendEntry(b, row[1])
	}
	return b
}

// parseProof parses the binary form. The proof shares the memory of b. parseProof
// appends the proof's rows to memory.
func parseProof(b []byte, memory [][2][]byte) (p proof, err error) {
	if len(b) < 8 {
		return proof{}, malformed("proof", errors.New("cut short"))
	}
	p.index = int64(binary.BigEndian.Uint64(b))
	if p.blob, b, err = cutEntry(b[8:]); err != nil {
		return proof{}, malformed("proof", err)
	}
	if len(b) < 1 {
		return proof{}, malformed("proof", errors.New("cut short"))
	}
	rows := int(b[0])
	b = b[1:]
	if rows > maxRows {
		return proof{}, malformed("proof", fmt.Errorf("%d rows, at most %d are allowed", rows, maxRows))
	}
	p.rows = memory
	for range rows {
		var row [2][]byte
		for side := range row {
			if row[side], b, err = cutEntry(b); err != nil {
				return proof{}, malformed("proof", err)
			}
		}
		p.rows = append(p.rows, row)
	}
	if len(b) != 0 {
		return proof{}, malformed("proof", fmt.Errorf("%d bytes too many", len(b)))
	}
	return p, nil
}

func appendEntry(b, entry []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(entry)))
	return append(b, entry...)
}

func cutEntry(b []byte) (entry, rest []byte, err error) {
	if len(b) < 2 {
		return nil, nil, errors.New("cut short")
	}
	size := int(binary.BigEndian.Uint16(b))
	b = b[2:]
	if err := checkEntry(size); err != nil {
		return nil, nil, err
	}
	if size > len(b) {
		return nil, nil, errors.New("cut short")
	}
	return b[:size], b[size:], nil
}

func checkEntry(size int) error {
	if size > maxEntry {
		return fmt.Errorf("an entry of %d bytes, at most %d are allowed", size, maxEntry)
	}
	return nil
}

// ParseProof parses the wire form of a proof of any shape. If the blob has the
// wrong length or the branch has the wrong number of rows, the proof is invalid,
// but it is not malformed.
func (w Wire) ParseProof(wire json.RawMessage) ([]byte, error) {
	return w.appendProof(make([]byte, 0, min(len(wire), usualProof)), wire)
}

// appendProof does what ParseProof does, but appends the proof to dst. It allocates
// no memory if dst has room for usualProof bytes.
func (Wire) appendProof(dst []byte, wire json.RawMessage) ([]byte, error) {
	d := proofDecoder{in: wirejson.Of(wire), out: dst, start: len(dst)}
	if err := d.decode(); err != nil {
		return dst, malformed("proof", err)
	}
	return d.finish(), nil
}

const (
	indexPart = 8
	// headSize is the maximum number of bytes before the rows of a binary proof.
	headSize = indexPart + 2 + maxEntry + 1
	// usualProof is more than the number of bytes in a proof for a tree of 65536
	// leaves.
	usualProof = indexPart + 2 + hashSize + 1 + 17*2*(2+hashSize)
)

// proofDecoder converts the wire form into the binary form. Members can be in any
// order and can be repeated. So proofDecoder inserts the part before the rows at
// the end.
type proofDecoder struct {
	in    wirejson.Reader
	out   []byte // the output; the rows begin at start
	start int
	rows  int
	head  [headSize + 2]byte // base64 needs up to 2 more bytes to decode the blob
	blob  int                // the size of the blob in head
}

func (d *proofDecoder) decode() error {
	err := d.in.Members(func(i int) error {
		if i == 0 {
			return d.leaf()
		}
		return d.in.Members(func(int) error { return d.branch() }, "rows")
	}, "leaf", "branch")
	if err != nil {
		return err
	}
	return d.in.End()
}

func (d *proofDecoder) leaf() error {
	return d.in.Members(func(i int) error {
		if i == 0 {
			index, err := d.in.Int64()
			binary.BigEndian.PutUint64(d.head[:], uint64(index))
			return err
		}
		const blobAt = indexPart + 2
		blob, err := d.in.AppendBase64(d.head[blobAt:blobAt], maxEntry)
		d.blob = len(blob)
		return err
	}, "index", "blob")
}

var errTooManyRows = fmt.Errorf("at most %d rows are allowed", maxRows)

func (d *proofDecoder) branch() (err error) {
	d.out = d.out[:d.start]
	d.rows, err = d.in.Array(func(i int) error {
		if i == maxRows {
			return errTooManyRows
		}
		return d.row()
	})
	return err
}

// row appends left and right.
func (d *proofDecoder) row() error {
	n, err := d.in.Array(func(int) error {
		at := len(d.out)
		out, err := d.in.AppendBase64(append(d.out, 0, 0), maxEntry)
		if err == nil {
			binary.BigEndian.PutUint16(out[at:], uint16(len(out)-at-2))
			d.out = out
		}
		return err
	})
	if err == nil && n != 2 {
		err = fmt.Errorf("%d entries, want left and right", n)
	}
	return err
}

// finish inserts the part before the rows.
func (d *proofDecoder) finish() []byte {
	binary.BigEndian.PutUint16(d.head[indexPart:], uint16(d.blob))
	head := append(d.head[:indexPart+2+d.blob], byte(d.rows))
	return slices.Insert(d.out, d.start, head...)
}

// MaxProof returns the maximum size of a proof's wire form: two hashes for each level of
// the tree, the blob, and the names of the members.
func (h *Heartbeat) MaxProof() int {
	hash := base64.StdEncoding.EncodedLen(hashSize) + len(`"",`)
	return maxOrder*(2*hash+len(`[],`)) + hash + len(`{"leaf":{"index":-9223372036854775808,"blob":},"branch":{"rows":[]}}`)
}
