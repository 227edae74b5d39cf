package merkle

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/driveshare/downstream-node/heartbeat/internal/strictjson"
)

// ParseProof reads the wire form of a proof, of whatever shape: a blob of the
// wrong length, or a branch with rows too few or too many, is a proof that is
// not valid.
func (w Wire) ParseProof(wire json.RawMessage) ([]byte, error) {
	return w.AppendProof(make([]byte, 0, min(len(wire), usualProof)), wire)
}

// AppendProof does what ParseProof does, and appends the proof to dst, which
// takes no other memory where dst has room for usualProof bytes more.
func (Wire) AppendProof(dst []byte, wire json.RawMessage) ([]byte, error) {
	d := proofDecoder{cursor: strictjson.NewCursor(wire), out: dst, start: len(dst)}
	if err := d.decode(); err != nil {
		return dst, malformed("proof", err)
	}
	return d.finish(), nil
}

const (
	// The parts of a binary proof that come before its rows, if the blob is as
	// long as a hash.
	indexPart = 8
	blobPart  = 2 + hashSize
	countPart = 1

	// usualProof is beyond the bytes of the proof of a tree of 65536 leaves.
	usualProof = indexPart + blobPart + countPart + 17*2*(2+hashSize)
)

// proofDecoder turns the wire form into the binary form. Members come in any
// order and maybe more than once, so that it leaves space for the parts before
// the rows and fills that in at the end.
type proofDecoder struct {
	cursor strictjson.Cursor
	index  int64
	blob   [maxEntry + 2]byte // of size bytes, and what base64 asks for more
	size   int
	out    []byte // from start on: the space, and the rows
	start  int
	rows   int
}

func (d *proofDecoder) decode() error {
	err := d.cursor.Object(func(i int) error {
		if i == 0 {
			return d.leaf()
		}
		return d.cursor.Object(func(int) error { return d.branch() }, "rows")
	}, "leaf", "branch")
	if err != nil {
		return err
	}
	return d.cursor.End()
}

func (d *proofDecoder) leaf() error {
	return d.cursor.Object(func(i int) (err error) {
		if i == 0 {
			d.index, err = d.cursor.Int64()
			return err
		}
		blob, err := d.cursor.AppendBase64(d.blob[:0], maxEntry)
		d.size = copy(d.blob[:], blob)
		return err
	}, "index", "blob")
}

var errTooManyRows = fmt.Errorf("at most %d rows are allowed", maxRows)

func (d *proofDecoder) branch() (err error) {
	var space [indexPart + blobPart + countPart]byte
	d.out = append(d.out[:d.start], space[:]...)
	d.rows, err = d.cursor.Array(func(i int) error {
		if i == maxRows {
			return errTooManyRows
		}
		return d.row()
	})
	return err
}

// row appends left and right.
func (d *proofDecoder) row() error {
	n, err := d.cursor.Array(func(int) error {
		at := len(d.out)
		out, err := d.cursor.AppendBase64(append(d.out, 0, 0), maxEntry)
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

// finish puts the parts before the rows into place.
func (d *proofDecoder) finish() []byte {
	if more := d.size - hashSize; more != 0 {
		rows := d.start + indexPart + blobPart + countPart
		d.out = append(d.out, make([]byte, max(more, 0))...)
		copy(d.out[rows+more:], d.out[rows:])
		d.out = d.out[:len(d.out)+min(more, 0)]
	}
	b := binary.BigEndian.AppendUint64(d.out[:d.start], uint64(d.index))
	b = appendEntry(b, d.blob[:d.size])
	_ = append(b, byte(d.rows))
	return d.out
}
