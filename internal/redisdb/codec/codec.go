// Package codec reads and writes the binary encodings of the values in Redis: jobs,
// replies and cached contracts.
//
// An encoding starts with a version byte. Numbers are big-endian and have a fixed
// width. Times are microseconds since 1970. Data of variable length follows its
// length, which is a u32. Each value has exactly one encoding: parsing an encoding and
// writing the value again returns the same bytes.
package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// ErrMalformed means that the bytes do not have the expected encoding.
var ErrMalformed = errors.New("malformed")

// Reader reads fields from bytes that another process wrote, perhaps a process of
// another version. After the first error every read returns zero, and End returns
// that error.
type Reader struct {
	rest []byte
	err  error
}

// NewReader returns a reader of b.
func NewReader(b []byte) Reader { return Reader{rest: b} }

func (r *Reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
	}
	r.rest = nil
}

// Bytes reads n bytes. It returns a slice of the input.
func (r *Reader) Bytes(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n > len(r.rest) {
		r.fail("%d bytes missing", n-len(r.rest))
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// Fill reads len(dst) bytes into dst.
func (r *Reader) Fill(dst []byte) { copy(dst, r.Bytes(len(dst))) }

// Version reads the version byte, which must be want.
func (r *Reader) Version(want byte) {
	if b := r.Bytes(1); b != nil && b[0] != want {
		r.fail("version %d, not %d", b[0], want)
	}
}

// Bool reads a byte that is 0 or 1.
func (r *Reader) Bool() bool {
	b := r.Bytes(1)
	if b != nil && b[0] > 1 {
		r.fail("boolean %d", b[0])
	}
	return r.err == nil && b[0] == 1
}

// Int64 reads a number.
func (r *Reader) Int64() int64 {
	b := r.Bytes(8)
	if b == nil {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b))
}

// Time reads a time, in UTC.
func (r *Reader) Time() time.Time { return time.UnixMicro(r.Int64()).UTC() }

// Count reads the number of the items that follow. Each item has at least size
// bytes. If the remaining bytes cannot hold that number of items, the input is
// malformed.
func (r *Reader) Count(size int) int {
	b := r.Bytes(4)
	if b == nil {
		return 0
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n)*uint64(size) > uint64(len(r.rest)) {
		r.fail("%d items of at least %d bytes do not fit in the remaining %d bytes", n, size, len(r.rest))
		return 0
	}
	return int(n)
}

// Blob reads a length and then that number of bytes. It returns a slice of the
// input.
func (r *Reader) Blob() []byte { return r.Bytes(r.Count(1)) }

// End returns the first error. If bytes are left, that is an error too.
func (r *Reader) End() error {
	if r.err == nil && len(r.rest) > 0 {
		r.fail("%d bytes too many", len(r.rest))
	}
	return r.err
}

// AppendInt64 appends a number.
func AppendInt64(b []byte, v int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(v)) }

// AppendTime appends a time.
func AppendTime(b []byte, t time.Time) []byte { return AppendInt64(b, t.UnixMicro()) }

// AppendCount appends the number of the items that follow.
func AppendCount(b []byte, n int) []byte { return binary.BigEndian.AppendUint32(b, uint32(n)) }

// AppendBlob appends the length of blob and then blob.
func AppendBlob(b, blob []byte) []byte { return append(AppendCount(b, len(blob)), blob...) }

// AppendBool appends 0 or 1.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}
