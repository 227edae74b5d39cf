// Package filestream generates the files that farmers store. A file is a seed and
// a size. Its content is a pseudorandom stream that the node and the farmer both
// can compute (PROTOCOL.md, section 3), so the node stores none of it.
//
// The content is not secret, because it follows from the seed. The invariant: byte
// i of a seed's stream is always the same. It does not depend on the size of the
// file, or on the order and the size of reads.
package filestream

import (
	"context"
	"crypto/aes"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/driveshare/downstream-node/heartbeat/internal/aes256"
)

// Reader reads one file. ReadAt is safe for concurrent use. Read and Seek share an
// offset, so they are not safe for concurrent use.
type Reader struct {
	cipher  aes256.Cipher
	section *io.SectionReader // the whole file, for Read and Seek
}

var (
	_ io.ReaderAt   = (*Reader)(nil)
	_ io.ReadSeeker = (*Reader)(nil)
)

// New returns a reader of the first size bytes of seed's stream. If size is
// negative, the file is empty.
func New(seed string, size int64) *Reader {
	key := sha256.Sum256([]byte(seed))
	r := &Reader{cipher: aes256.New(&key)}
	r.section = io.NewSectionReader(r, 0, max(size, 0))
	return r
}

// Size returns the size of the file in bytes.
func (r *Reader) Size() int64 { return r.section.Size() }

// ReadAt implements io.ReaderAt: it fills p from offset, and returns io.EOF if
// the file ends first.
func (r *Reader) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, fmt.Errorf("filestream: read at offset %d", offset)
	}
	if offset >= r.Size() {
		return 0, io.EOF
	}
	var err error
	if left := r.Size() - offset; int64(len(p)) > left {
		p, err = p[:left], io.EOF
	}

	// Block k of the stream is AES(key, k+1).
	r.cipher.KeyStream(p, uint64(offset)+aes.BlockSize)
	return len(p), err
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) { return r.section.Read(p) }

// Seek implements io.Seeker. An offset beyond the end is valid. A read at such an
// offset returns io.EOF.
func (r *Reader) Seek(offset int64, whence int) (int64, error) { return r.section.Seek(offset, whence) }

// Hash returns the SHA-256 of the first size bytes of seed's stream. In
// hexadecimal, this hash is the file_hash that names the file. Hash returns an
// error only if ctx ends.
func Hash(ctx context.Context, seed string, size int64) ([sha256.Size]byte, error) {
	var sum [sha256.Size]byte
	file := New(seed, size)
	digest := sha256.New()
	buffer := make([]byte, min(file.Size(), 64<<10))
	for {
		if err := ctx.Err(); err != nil {
			return sum, err
		}
		n, err := file.Read(buffer)
		digest.Write(buffer[:n])
		if n == 0 || err != nil {
			break
		}
	}
	digest.Sum(sum[:0])
	return sum, nil
}
