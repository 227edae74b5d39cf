package swizzle

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/driveshare/downstream-node/heartbeat"
)

// maxInteger is the maximum size in bytes of an integer that is accepted.
const maxInteger = 1024

// malformed returns the error about bytes that are not a valid object.
func malformed(object string, err error) error {
	return fmt.Errorf("%w %s: %w", heartbeat.ErrMalformed, object, err)
}

func appendU32(b []byte, v uint32) []byte { return binary.LittleEndian.AppendUint32(b, v) }

// appendBlock appends the length of block, and then block.
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

// decoder parses the objects of PROTOCOL.md, section 5, from the front of rest.
// After the first error, its methods return zeros, and end returns the error.
type decoder struct {
	rest []byte
	err  error
}

var errShort = errors.New("cut short")

// cut removes n bytes from the front of rest and returns them.
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

// block parses a length, which must equal size, and then size bytes.
func (d *decoder) block(size uint32) []byte {
	if got := d.u32(); d.err == nil && got != size {
		d.err = fmt.Errorf("a field of %d bytes, want %d", got, size)
	}
	return d.cut(size)
}

// key parses a block of 32 bytes.
func (d *decoder) key() (key [keySize]byte) {
	copy(key[:], d.block(keySize))
	return key
}

// integer parses an integer and returns its big-endian bytes.
func (d *decoder) integer() []byte {
	size := d.u32()
	if d.err == nil {
		d.err = checkInteger(size, d.rest)
	}
	return d.cut(size)
}

// end returns the first error. If bytes remain, end returns an error.
func (d *decoder) end() error {
	if d.err == nil && len(d.rest) != 0 {
		d.err = fmt.Errorf("%d bytes too many", len(d.rest))
	}
	return d.err
}

// checkInteger checks an integer of size bytes at the front of b. The integer must
// be as short as possible.
func checkInteger(size uint32, b []byte) error {
	if err := checkIntegerSize(size); err != nil {
		return err
	}
	if int(size) > len(b) {
		return errShort
	}
	if size > 1 && b[0] == 0 {
		return errors.New("an integer with leading zeros")
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

// fileChallenge is a challenge of l chunks. key determines the chunks and their
// coefficients. A coefficient is in [0, limit).
type fileChallenge struct {
	l     uint32
	key   [keySize]byte
	limit *big.Int // the limit that section 5 calls B
}

func (c fileChallenge) marshal() []byte {
	b := appendU32(nil, c.l)
	b = appendBlock(b, c.key[:])
	return appendInteger(b, c.limit.Bytes())
}

func parseChallenge(b []byte) (fileChallenge, error) {
	d := decoder{rest: b}
	c := fileChallenge{l: d.u32(), key: d.key()}
	c.limit = new(big.Int).SetBytes(d.integer())
	if err := d.end(); err != nil {
		return fileChallenge{}, err
	}
	if c.limit.Sign() == 0 {
		return fileChallenge{}, errors.New("the limit of the coefficients is zero")
	}
	return c, nil
}

// proof holds mu_j for each sector, and sigma, as big-endian numbers. In a proof
// that was parsed, these numbers can be larger than p.
type proof struct {
	mu    [][]byte
	sigma []byte
}

func (p proof) marshal() []byte {
	b := appendU32(nil, uint32(len(p.mu)))
	for _, mu := range p.mu {
		b = appendInteger(b, mu)
	}
	return appendInteger(b, p.sigma)
}

// parseProof parses a proof of any number of sectors. The proof shares the memory
// of b.
func parseProof(b []byte) (proof, error) {
	d := decoder{rest: b}
	// An integer takes at least 5 bytes. This check keeps the allocation below in
	// proportion to the input.
	sectors := d.u32()
	if d.err == nil && uint64(sectors) > uint64(len(d.rest)/5) {
		return proof{}, errShort
	}
	p := proof{mu: make([][]byte, sectors)}
	for j := range p.mu {
		p.mu[j] = d.integer()
	}
	p.sigma = d.integer()
	return p, d.end()
}

// fileTag is a parsed tag.
type fileTag struct {
	b []byte
	// offsets[i] is the offset in b of the bytes of sigma i. offsets has one
	// element more than the number of sigmas.
	offsets []int
}

// n returns the number of chunks.
func (t fileTag) n() uint32 { return uint32(len(t.offsets) - 1) }

// sigma returns the authenticator of a chunk as a big-endian number.
func (t fileTag) sigma(index uint32) []byte {
	return t.b[t.offsets[index] : t.offsets[index+1]-4]
}

// parseTag parses the binary form. The tag shares the memory of b. parseTag does
// not use a decoder, which makes Prove 5 % faster.
func parseTag(b []byte) (fileTag, error) {
	if len(b) < 4 {
		return fileTag{}, errShort
	}
	n := binary.LittleEndian.Uint32(b)
	if uint64(n) > uint64(len(b)-4)/5 {
		return fileTag{}, errShort
	}
	if n == 0 {
		return fileTag{}, errors.New("no chunks")
	}
	t := fileTag{b: b, offsets: make([]int, int(n)+1)}
	at := 4
	for i := range t.offsets[:n] {
		if len(b)-at < 5 {
			return fileTag{}, errShort
		}
		size := binary.LittleEndian.Uint32(b[at:])
		if err := checkInteger(size, b[at+4:]); err != nil {
			return fileTag{}, err
		}
		t.offsets[i] = at + 4
		at += 4 + int(size)
	}
	t.offsets[n] = at + 4
	if at != len(b) {
		return fileTag{}, fmt.Errorf("%d bytes too many", len(b)-at)
	}
	return t, nil
}

// copyTag copies a binary tag from r to w, in small parts. It returns ErrMalformed
// if r does not hold exactly one tag.
func copyTag(w io.Writer, r io.Reader) error {
	in := bufio.NewReader(io.TeeReader(r, w))
	n, err := readU32(in)
	for ; n > 0 && err == nil; n-- {
		var size uint32
		if size, err = readU32(in); err != nil {
			break
		}
		if err := checkIntegerSize(size); err != nil {
			return malformed("tag", err)
		}
		_, err = in.Discard(int(size))
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return malformed("tag", errShort)
	}
	if err != nil {
		return err
	}
	if _, err := in.ReadByte(); err != io.EOF {
		return malformed("tag", errors.New("bytes after the last sigma"))
	}
	return nil
}

func readU32(r io.Reader) (uint32, error) {
	var b [4]byte
	_, err := io.ReadFull(r, b[:])
	return binary.LittleEndian.Uint32(b[:]), err
}
