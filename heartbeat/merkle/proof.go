package merkle

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	// A proof of the wrong shape is an invalid proof, but only within these
	// bounds; otherwise it is malformed. maxRows is greater than the order of any
	// tree, and maxEntry greater than the size of a hash in bytes.
	maxRows  = 32
	maxEntry = 1024
)

// proof is a proof of any shape that the wire form allows, valid or not. Its
// binary form is the index as big-endian i64, the blob, the number of rows as one
// byte, and the left and right entry of each row. The blob and each entry are
// preceded by their length as big-endian u16.
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

// parseProof parses the binary form. The proof shares the memory of b, and its
// rows are appended to memory.
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
