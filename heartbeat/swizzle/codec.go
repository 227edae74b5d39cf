package swizzle

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/driveshare/downstream-node/heartbeat"
)

// maxInteger is the bytes of the longest integer that is read.
const maxInteger = 1024

// malformed is the error about bytes that are not the object they should be.
func malformed(object string, err error) error {
	return fmt.Errorf("%w %s: %w", heartbeat.ErrMalformed, object, err)
}

func appendU32(b []byte, v uint32) []byte { return binary.LittleEndian.AppendUint32(b, v) }

// appendBlock appends bytes with their length before them.
func appendBlock(b, block []byte) []byte {
	return append(appendU32(b, uint32(len(block))), block...)
}

// appendInteger appends a big-endian number.
func appendInteger(b, v []byte) []byte {
	for len(v) > 1 && v[0] == 0 {
		v = v[1:]
	}
	if len(v) == 0 {
		v = []byte{0}
	}
	return appendBlock(b, v)
}

// decoder reads the objects of section 5 from the front of rest. After the
// first error, which end gives, it reads zeros.
type decoder struct {
	rest []byte
	err  error
}

var errShort = errors.New("cut short")

// cut takes n bytes, in the memory of rest.
func (d *decoder) cut(n uint32) []byte {
	if d.err == nil && uint64(n) > uint64(len(d.rest)) {
		d.err = errShort
	}
	if d.err != nil {
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) flag() byte {
	if b := d.cut(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) u32() uint32 {
	if b := d.cut(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// block reads bytes that must be size long.
func (d *decoder) block(size uint32) []byte {
	if got := d.u32(); d.err == nil && got != size {
		d.err = fmt.Errorf("a field of %d bytes, want %d", got, size)
	}
	return d.cut(size)
}

// key reads 32 bytes.
func (d *decoder) key() (key [keySize]byte) {
	copy(key[:], d.block(keySize))
	return key
}

// integer reads an integer's bytes, big-endian and as short as possible.
func (d *decoder) integer() []byte {
	size := d.u32()
	if d.err == nil {
		d.err = checkInteger(size, d.rest)
	}
	return d.cut(size)
}

// end gives the first error; bytes that are left over are one.
func (d *decoder) end() error {
	if d.err == nil && len(d.rest) != 0 {
		d.err = fmt.Errorf("%d bytes too many", len(d.rest))
	}
	return d.err
}

// checkInteger says whether an integer of that size is at the front of b.
func checkInteger(size uint32, b []byte) error {
	if err := checkIntegerSize(size); err != nil {
		return err
	}
	if int(size) > len(b) {
		return errShort
	}
	if size > 1 && b[0] == 0 {
		return errors.New("an integer with zeros before it")
	}
	return nil
}

func checkIntegerSize(size uint32) error {
	switch {
	case size == 0:
		return errors.New("an integer of no bytes")
	case size > maxInteger:
		return fmt.Errorf("an integer of %d bytes, at most %d are allowed", size, maxInteger)
	}
	return nil
}
