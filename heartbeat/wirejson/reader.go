package wirejson

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"strconv"
)

// Error says where a document is not what it should be, or where its input failed.
// It wraps io.EOF if there was only white space, and the error of a failed input.
type Error struct {
	offset int64
	err    error
}

func (e *Error) Error() string { return fmt.Sprintf("byte %d: %v", e.offset, e.err) }
func (e *Error) Unwrap() error { return e.err }

// A sender can send any number of wrong documents, so an error formats its message
// only on demand.
var (
	errSyntax     = errors.New("not JSON")
	errNotObject  = errors.New("not an object")
	errNotArray   = errors.New("not an array")
	errNotInteger = errors.New("not an integer")
	errNotNumber  = errors.New("not a number")
	errNotString  = errors.New("not a string")
	errNotBase64  = errors.New("not standard base64")
	errTooLong    = errors.New("longer than is allowed")
)

type missingError string

func (name missingError) Error() string { return fmt.Sprintf("%q is missing", string(name)) }

// Reader reads one document. Every method reads one value. After the first error
// there is nothing to read, and every method returns that error.
type Reader struct {
	in      io.Reader // nil if window is the whole document
	failed  error     // of in
	window  []byte    // of the document: what is kept, and what was not read yet
	at      int       // in window: the next byte
	kept    int       // in window: the start of what must stay; -1 if nothing must
	dropped int64     // bytes of the document before window
	begun   bool      // there is a value
	text    []byte    // of the last string that had to be decoded
	broken  error

	// depth is the number of open objects and arrays. kinds has a bit for each of
	// the innermost, the lowest for the last: 1 for an object. outer has the bits of
	// the others, 64 at a time.
	depth int
	kinds uint64
	outer []uint64
}

const (
	windowSize = 16 << 10
	// windowKept is the most memory that a Reader keeps for its next document.
	windowKept = 256 << 10
)

// Of returns a Reader of a document in memory, which must not change. The Reader
// allocates memory only for errors, strings with escapes, and deep nesting.
func Of(document []byte) Reader { return Reader{window: document, kept: -1} }

// Reset makes r read the document in, with the memory that r has.
func (r *Reader) Reset(in io.Reader) {
	window, text := r.window, r.text
	if r.in == nil || cap(window) > windowKept { // the window is not r's, or too large
		window = make([]byte, 0, windowSize)
	}
	if cap(text) > windowKept {
		text = nil
	}
	*r = Reader{in: in, window: window[:0], kept: -1, text: text[:0], outer: r.outer[:0]}
}

// End returns an error unless the document, which must be in memory, was one value
// without any error.
func (r *Reader) End() error {
	if r.space(); r.at < len(r.window) {
		r.fail()
	}
	return r.broken
}

// Object reads an object. It calls member with the name of each member, and member
// must read the value. The name is valid until then.
func (r *Reader) Object(member func(name []byte) error) error {
	if !r.enter('{') {
		return r.unexpected(errNotObject)
	}
	for more := r.first(); more; more = r.another() {
		name := r.name()
		if r.broken != nil {
			break
		}
		if err := member(name); err != nil {
			return r.stop(err)
		}
	}
	return r.broken
}

// IsName reports whether encoding/json takes the member called name for the field
// with this tag.
func IsName(name []byte, field string) bool {
	return string(name) == field || bytes.EqualFold(name, []byte(field))
}

// Members reads an object that has all of names, of which there can be at most 64.
// It calls read(i) for the member names[i], and read must read the value. If there
// are several members with a name the last counts, but read must accept all of
// them.
func (r *Reader) Members(read func(i int) error, names ...string) error {
	missing := uint64(1)<<len(names) - 1
	err := r.Object(func(name []byte) error {
		for i := range names {
			if string(name) == names[i] {
				missing &^= 1 << i
				return read(i)
			}
		}
		return r.Skip()
	})
	if err == nil && missing != 0 {
		return r.refuse(missingError(names[bits.TrailingZeros64(missing)]))
	}
	return err
}

// Array reads an array and returns the number of its elements. It calls element(i)
// for element i, and element must read the value.
func (r *Reader) Array(element func(i int) error) (n int, err error) {
	if !r.enter('[') {
		return 0, r.unexpected(errNotArray)
	}
	for more := r.first(); more; more = r.another() {
		if err := element(n); err != nil {
			return n, r.stop(err)
		}
		n++
	}
	return n, r.broken
}

// String reads a string, or null, for which ok is false.
func (r *Reader) String() (s string, ok bool, err error) {
	if r.space() == 'n' {
		return "", false, r.Skip()
	}
	text, escaped, err := r.readString()
	if err != nil {
		return "", false, err
	}
	return string(r.content(text, escaped)), true, nil
}

// standard rejects bits of the last character that are in no byte.
var standard = base64.StdEncoding.Strict()

// AppendBase64 reads a string of standard base64, of at most that many bytes, and
// appends the bytes to dst.
func (r *Reader) AppendBase64(dst []byte, most int) ([]byte, error) {
	text, escaped, err := r.readString()
	switch {
	case err != nil:
		return dst, err
	case escaped:
		text = r.content(text, escaped)
	case len(text) == 0: // a sender can send many of them in few bytes
		return dst, nil
	case len(text) > standard.EncodedLen(most):
		return dst, r.refuse(errTooLong)
	}
	all, err := standard.AppendDecode(dst, text)
	if err != nil {
		return dst, r.refuse(errNotBase64)
	}
	if len(all)-len(dst) > most {
		return dst, r.refuse(errTooLong)
	}
	return all, nil
}

// Int64 reads an integer, written without fraction or exponent.
func (r *Reader) Int64() (int64, error) {
	v, err := r.Value()
	if err != nil {
		return 0, err
	}
	const longest = len("-9223372036854775808")
	if len(v) <= longest {
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return n, nil
		}
	}
	return 0, r.refuse(errNotInteger)
}

// OptionalFloat64 reads a number, or null, for which it returns nil.
func (r *Reader) OptionalFloat64() (*float64, error) {
	v, err := r.Value()
	if err != nil || string(v) == "null" {
		return nil, err
	}
	number, err := strconv.ParseFloat(string(v), 64)
	if err != nil {
		return nil, r.refuse(errNotNumber)
	}
	return &number, nil
}

// Value reads a value of any kind. If it comes from a stream, it is valid until the
// next read.
func (r *Reader) Value() (json.RawMessage, error) {
	r.space()
	r.kept = r.at
	r.skip()
	v := r.window[max(r.kept, 0):r.at]
	r.kept = -1
	if r.broken != nil {
		return nil, r.broken
	}
	return v, nil
}

// Skip reads a value of any kind and keeps nothing of it.
func (r *Reader) Skip() error {
	r.skip()
	return r.broken
}

// unexpected stops at a value of the wrong kind. An error of the input matters
// more, so it reads the value of a stream.
func (r *Reader) unexpected(why error) error {
	if r.in != nil {
		r.skip()
	}
	return r.refuse(why)
}

// fail stops because the next byte is not JSON, or there is none.
func (r *Reader) fail() {
	switch {
	case r.at < len(r.window) || r.failed == nil:
		r.refuse(errSyntax)
	case r.failed == io.EOF && r.begun:
		r.refuse(io.ErrUnexpectedEOF)
	default:
		r.refuse(r.failed)
	}
}

func (r *Reader) refuse(why error) error {
	if r.broken != nil {
		return r.broken
	}
	return r.stop(&Error{r.dropped + int64(r.at), why})
}

// stop ends the reading.
func (r *Reader) stop(err error) error {
	if r.broken == nil {
		r.broken = err
	}
	r.window, r.at, r.kept = r.window[:0], 0, -1
	return r.broken
}
