package bodyjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// Error is that of a body that cannot be read as it should be. It wraps io.EOF
// where there was only white space, and what the input says where that fails.
type Error struct{ err error }

func (e *Error) Error() string { return "body: " + e.err.Error() }
func (e *Error) Unwrap() error { return e.err }

var (
	errSyntax = errors.New("not JSON")
	errKind   = errors.New("a value of another kind")
)

// Reader reads one document. Every method reads one value, and the first error
// is the last: from then on there is nothing to read.
type Reader struct {
	in     io.Reader
	window []byte // of the input: what is kept, and what was not read yet
	at     int    // in window: the next byte
	kept   int    // in window: the start of what must stay; -1 where nothing must
	begun  bool   // there is a value
	open   []byte // the brackets of the objects and arrays that are open
	text   []byte // of the last string that had to be decoded
	failed error  // of the input
	broken error
}

const (
	windowSize = 16 << 10
	// windowKept is the most memory that is used for other bodies again.
	windowKept = 256 << 10
)

// Reset begins to read in, with the memory that the reader has.
func (r *Reader) Reset(in io.Reader) {
	window, text := r.window, r.text
	if window == nil || cap(window) > windowKept {
		window = make([]byte, 0, windowSize)
	}
	if cap(text) > windowKept {
		text = nil
	}
	*r = Reader{in: in, window: window[:0], kept: -1, open: r.open[:0], text: text[:0]}
}

// Object reads an object and calls member with the name of each, which is good
// until member reads its value, as it must.
func (r *Reader) Object(member func(name []byte) error) error {
	if !r.enter('{') {
		return r.refuse()
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

// Array reads an array and calls element for each, which must read it.
func (r *Reader) Array(element func() error) error {
	if !r.enter('[') {
		return r.refuse()
	}
	for more := r.first(); more; more = r.another() {
		if err := element(); err != nil {
			return r.stop(err)
		}
	}
	return r.broken
}

// String reads a string, or null for which it gives false.
func (r *Reader) String() (s string, ok bool, err error) {
	v, err := r.Value()
	switch {
	case err != nil:
		return "", false, err
	case v[0] == 'n':
		return "", false, nil
	case v[0] != '"':
		return "", false, r.stop(&Error{errKind})
	}
	return string(r.content(v)), true, nil
}

// Value reads a value of any kind. It is good until the next is read.
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

// Skip passes over a value.
func (r *Reader) Skip() error {
	r.skip()
	return r.broken
}

// IsName says whether encoding/json takes the member called name for the field
// that is tagged so.
func IsName(name []byte, field string) bool {
	return string(name) == field || bytes.EqualFold(name, []byte(field))
}

// name reads the name of a member and the colon.
func (r *Reader) name() []byte {
	if r.space() != '"' {
		r.fail()
		return nil
	}
	r.kept = r.at
	r.skipString()
	length := r.at - r.kept
	r.take(':')
	if r.broken != nil {
		return nil
	}
	v := r.window[r.kept : r.kept+length]
	r.kept = -1
	return r.content(v)
}

// refuse reads a value that is not what it should be.
func (r *Reader) refuse() error {
	if r.Skip() == nil {
		r.stop(&Error{errKind})
	}
	return r.broken
}

// stop ends the reading.
func (r *Reader) stop(err error) error {
	if r.broken == nil {
		r.broken = err
	}
	r.window, r.at, r.kept, r.in = r.window[:0], 0, -1, nil
	return r.broken
}

// fail says that what comes next is not JSON, or not there.
func (r *Reader) fail() {
	switch {
	case r.at < len(r.window) || r.failed == nil:
		r.stop(&Error{errSyntax})
	case r.failed != io.EOF:
		r.stop(&Error{r.failed})
	case r.begun:
		r.stop(&Error{io.ErrUnexpectedEOF})
	default:
		r.stop(&Error{io.EOF})
	}
}
