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

// Error reports the offset at which a document is wrong or at which its input
// failed. It wraps io.EOF if the document has only white space. If the input
// failed, it wraps the input's error.
type Error struct {
	offset int64
	err    error
}

func (e *Error) Error() string { return fmt.Sprintf("byte %d: %v", e.offset, e.err) }
func (e *Error) Unwrap() error { return e.err }

// WrongShape reports whether the document is JSON up to the offset, but its reader
// expected a value of another kind, or another member.
func (e *Error) WrongShape() bool {
	if _, missing := e.err.(missingError); missing {
		return true
	}
	switch e.err {
	case errNotObject, errNotArray, errNotInteger, errNotNumber, errNotString, errNotBase64, errTooLong:
		return true
	}
	return false
}

// A sender can send any number of wrong documents, so an error formats its message
// only when the message is read.
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

// ErrTooLarge is the error for a value, a string or a name that is larger than the
// limit of the Reader.
var ErrTooLarge = errors.New("a value is larger than is allowed")

type missingError string

func (name missingError) Error() string { return fmt.Sprintf("%q is missing", string(name)) }

// Reader reads one document. Every method reads one value. After the first error,
// the Reader reads nothing more, and every method returns that error. Only after a
// value that is larger than the limit can the caller read on; see Limit.
type Reader struct {
	in      io.Reader // nil if window is the whole document
	failed  error     // error of in
	window  []byte    // the part of the document that is kept or that was not read yet
	at      int       // offset in window of the next byte
	kept    int       // offset in window of the first byte that must be kept; -1 if no byte must be kept
	dropped int64     // number of document bytes before window
	begun   bool      // a value has begun
	most    int       // maximum size of a value, string or name; 0 if there is no limit
	text    []byte    // content of the last string that had to be decoded
	broken  error

	// depth is the number of open objects and arrays. kinds has one bit for each of
	// the innermost objects and arrays, but for at most 64 of them. The bit is 1
	// for an object and 0 for an array. The lowest bit belongs to the innermost
	// object or array. outer has the bits of the others, 64 bits in each element.
	depth int
	kinds uint64
	outer []uint64
}

const (
	windowSize = 16 << 10
	// windowKept is the maximum amount of memory that a Reader keeps for its next
	// document.
	windowKept = 256 << 10
)

// Of returns a Reader of a document in memory. The document must not change. The
// Reader allocates memory only for errors, for strings with escapes, and for deep
// nesting.
func Of(document []byte) Reader { return Reader{window: document, kept: -1} }

// Reset prepares r to read the document in. It reuses the memory of r.
func (r *Reader) Reset(in io.Reader) {
	window, text := r.window, r.text
	if r.in == nil || cap(window) > windowKept { // r does not own the window, or the window is too large
		window = make([]byte, 0, windowSize)
	}
	if cap(text) > windowKept {
		text = nil
	}
	*r = Reader{in: in, window: window[:0], kept: -1, text: text[:0], outer: r.outer[:0]}
}

// Limit sets the maximum size in bytes of each value, string and name that r returns
// from the current document. The size is that in the document, with quotes. r never
// holds much more than the limit. If a name is larger, r stops with an error that
// wraps ErrTooLarge. If a value or a string is larger, r skips it and returns such an
// error, and the caller may read on. The limit does not apply to Skip.
func (r *Reader) Limit(bytes int) { r.most = bytes }

// tooLarge reports whether size is above the limit.
func (r *Reader) tooLarge(size int) bool { return r.most > 0 && size > r.most }

// End returns an error unless the document was one value without errors. The
// document must be in memory.
func (r *Reader) End() error {
	if r.space(); r.at < len(r.window) {
		r.fail()
	}
	return r.broken
}

// Object reads an object. For each member it calls member with the name, and member
// must read the value. The name is valid until the value is read.
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

// IsName reports whether encoding/json would decode a member with this name into
// the struct field with this tag.
func IsName(name []byte, field string) bool {
	return string(name) == field || bytes.EqualFold(name, []byte(field))
}

// Members reads an object that has all of names. There can be at most 64 names. It
// calls read(i) for the member names[i], and read must read the value. If several
// members have the same name, the last member counts, but read must accept all of
// these members.
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

// String reads a string or null. For null, ok is false.
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

// standard rejects a last character with unused bits that are not zero.
var standard = base64.StdEncoding.Strict()

// AppendBase64 reads a string of standard base64 and appends the decoded bytes to
// dst. It returns an error if there are more than most bytes.
func (r *Reader) AppendBase64(dst []byte, most int) ([]byte, error) {
	text, escaped, err := r.readString()
	switch {
	case err != nil:
		return dst, err
	case escaped:
		text = r.content(text, escaped)
	case len(text) == 0: // checked first because a sender can send many empty strings in few bytes
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

// OptionalFloat64 reads a number or null. For null, it returns nil.
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

// Next returns the first byte of the next value without reading the value. It returns
// 0 if no value follows.
func (r *Reader) Next() byte { return r.space() }

// Value reads a value of any kind. If the value comes from a stream, it is valid
// until the next read.
func (r *Reader) Value() (json.RawMessage, error) {
	r.space()
	r.kept = r.at
	r.skip()
	if r.broken != nil {
		return nil, r.broken
	}
	return r.keptValue()
}

// keptValue returns the value that begins at r.kept and that has just been read.
func (r *Reader) keptValue() ([]byte, error) {
	from := r.kept
	r.kept = -1
	if from < 0 || r.tooLarge(r.at-from) {
		return nil, &Error{r.dropped + int64(r.at), ErrTooLarge}
	}
	return r.window[from:r.at], nil
}

// Skip reads a value of any kind and discards it.
func (r *Reader) Skip() error {
	r.skip()
	return r.broken
}

// unexpected stops at a value of the wrong kind. In a stream it first reads the
// whole value, because an error of the input is more important than the wrong kind.
func (r *Reader) unexpected(why error) error {
	if r.in != nil {
		r.skip()
	}
	return r.refuse(why)
}

// fail stops because the next byte is not JSON or because there is no next byte.
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

// stop records the error that ends the reading.
func (r *Reader) stop(err error) error {
	if r.broken == nil {
		r.broken = err
	}
	r.window, r.at, r.kept = r.window[:0], 0, -1
	return r.broken
}
