package swizzle

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// fileTag is a binary tag that has been checked and can be read at any chunk.
type fileTag struct {
	b []byte
	// offsets is where in b the bytes of each sigma begin, and where one more
	// would.
	offsets []int
}

// n is the number of chunks.
func (t fileTag) n() uint32 { return uint32(len(t.offsets) - 1) }

// sigma gives a chunk's authenticator, big-endian.
func (t fileTag) sigma(index uint32) []byte {
	return t.b[t.offsets[index] : t.offsets[index+1]-4]
}

// parseTag reads the binary form; the tag shares the memory of b.
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

// copyTag copies a binary tag from r to w, sigma after sigma, and so finds out
// whether r has less or more than a tag.
func copyTag(w io.Writer, r io.Reader) error {
	in := bufio.NewReader(r)
	var buffer [4 + maxInteger]byte
	if _, err := io.ReadFull(in, buffer[:4]); err != nil {
		return tagReadError(err)
	}
	if _, err := w.Write(buffer[:4]); err != nil {
		return err
	}
	for range binary.LittleEndian.Uint32(buffer[:]) {
		if _, err := io.ReadFull(in, buffer[:4]); err != nil {
			return tagReadError(err)
		}
		size := binary.LittleEndian.Uint32(buffer[:])
		if err := checkIntegerSize(size); err != nil {
			return malformed("tag", err)
		}
		if _, err := io.ReadFull(in, buffer[4:4+size]); err != nil {
			return tagReadError(err)
		}
		if _, err := w.Write(buffer[:4+size]); err != nil {
			return err
		}
	}
	if _, err := in.ReadByte(); err != io.EOF {
		return malformed("tag", errors.New("bytes after the last sigma"))
	}
	return nil
}

func tagReadError(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return malformed("tag", errShort)
	}
	return err
}
