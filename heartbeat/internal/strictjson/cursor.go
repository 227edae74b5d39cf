package strictjson

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/bits"
	"strconv"
)

// Cursor reads a document once, from its start to its end, into memory that the
// caller has. It takes what Parse and the methods of Value take, for where that
// is too slow: it looks at nothing more than twice and allocates nothing but
// for errors and for strings with escapes.
//
// Every method reads one value. The first error ends the reading, whatever comes
// after it: a document that is wrong is refused where it first is.
type Cursor struct {
	in     []byte
	at     int
	end    int // of what was read last, before the white space after it
	broken error

	// depth is how many objects and arrays are open, kinds what they are, and
	// closing the bracket that ends the innermost.
	depth   uint
	kinds   kinds
	closing byte
}

// NewCursor starts to read raw, which must not change until the end.
func NewCursor(raw []byte) Cursor {
	c := Cursor{in: raw}
	c.pass(0)
	return c
}

// End is an error if the document was not one JSON value and only that.
func (c *Cursor) End() error {
	if c.broken == nil && c.at < len(c.in) {
		c.fail()
	}
	return c.broken
}

// Object reads an object that has all of names. It calls read(i) to read the
// member names[i]; of several members of a name the last counts, though none may
// be wrong. Members with other names are passed over. There can be at most 64
// names.
func (c *Cursor) Object(read func(i int) error, names ...string) error {
	if !c.open('{') {
		return c.refuse(errNotObject)
	}
	missing := uint64(1)<<len(names) - 1
	for more := c.first(); more; more = c.next() {
		i := c.name(names)
		if i < 0 {
			c.skip()
			continue
		}
		if err := read(i); err != nil {
			return &memberError{names[i], err}
		}
		missing &^= 1 << i
	}
	if c.broken == nil && missing != 0 {
		return &memberError{names[bits.TrailingZeros64(missing)], errMissing}
	}
	return c.broken
}

// Array reads an array, calling read(i) to read element i, and gives the number
// of elements.
func (c *Cursor) Array(read func(i int) error) (n int, err error) {
	if !c.open('[') {
		return 0, c.refuse(errNotArray)
	}
	for more := c.first(); more; more = c.next() {
		if err := read(n); err != nil {
			return n, &elementError{n, err}
		}
		n++
	}
	return n, c.broken
}

// Int64 reads an integer, written without fraction or exponent.
func (c *Cursor) Int64() (int64, error) {
	v, err := c.Value()
	if err != nil {
		return 0, err
	}
	const longest = len("-9223372036854775808")
	if len(v) <= longest {
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return n, nil
		}
	}
	return 0, errNotInteger
}

// AppendBase64 reads a string of standard base64, of at most that many bytes,
// which it appends to dst.
func (c *Cursor) AppendBase64(dst []byte, most int) ([]byte, error) {
	if all, ok := c.appendPlain(dst, most); ok {
		return all, nil
	}
	v, err := c.Value()
	if err != nil {
		return dst, err
	}
	switch {
	case v[0] != '"':
		return dst, errNotString
	case bytes.IndexByte(v, '\\') >= 0:
		return v.appendEscaped(dst, most)
	case len(v) > base64.StdEncoding.EncodedLen(most)+len(`""`):
		return dst, errTooLong
	}
	return dst, errNotBase64
}

// appendPlain reads a string that is what it should be and has no escapes. Else
// it reads nothing.
func (c *Cursor) appendPlain(dst []byte, most int) ([]byte, bool) {
	if c.peek() != '"' {
		return dst, false
	}
	if at := c.at + 1; at < len(c.in) && c.in[at] == '"' {
		c.pass(at + 1)
		return dst, true // as hostile as it can be: much to do for few bytes
	}
	text := c.in[c.at+1:]
	text = text[:min(len(text), base64.StdEncoding.EncodedLen(most)+1)]
	end := bytes.IndexByte(text, '"')
	if end < 0 {
		return dst, false
	}
	text = text[:end]
	all, err := standard.AppendDecode(dst, text)
	// The decoder passes over line ends, which JSON allows only as escapes.
	if err != nil || len(all)-len(dst) > most || bytes.IndexByte(text, '\n') >= 0 || bytes.IndexByte(text, '\r') >= 0 {
		return dst, false
	}
	c.pass(c.at + len(`"`) + end + len(`"`))
	return all, true
}

// Value reads a value of any kind.
func (c *Cursor) Value() (Value, error) {
	start := c.at
	c.skip()
	if c.broken != nil {
		return nil, c.broken
	}
	return Value(c.in[start:c.end]), nil
}

// refuse says why the next value is not what it should be.
func (c *Cursor) refuse(why error) error {
	if c.broken != nil {
		return c.broken
	}
	return why
}

// name reads the name of a member and the colon, and says which of names it
// is, or -1.
func (c *Cursor) name(names []string) int {
	start := c.at
	if c.peek() != '"' || !c.skipString() {
		c.fail()
		return -1
	}
	text := c.in[start+1 : c.at-1]
	c.pass(c.at)
	if !c.take(':') {
		c.fail()
	}
	if len(names) > 0 && bytes.IndexByte(text, '\\') >= 0 {
		text = appendUnescaped(nil, text)
	}
	for i, name := range names {
		if string(text) == name {
			return i
		}
	}
	return -1
}

// The cursor is always at the start of a value, a name or a sign, or at the
// end: white space is passed over with what is before it.

// open enters an object or an array, if there is one.
func (c *Cursor) open(bracket byte) bool {
	if c.depth == maxDepth || !c.take(bracket) {
		return false
	}
	c.depth++
	c.kinds.set(c.depth, bracket)
	c.closing = bracket + 2 // of both, in ASCII
	return true
}

// first says whether there is an element before the closing bracket, and next
// whether there is another. Else they take the bracket, or break the cursor.
func (c *Cursor) first() bool {
	return c.peek() != c.closing || c.next()
}

func (c *Cursor) next() bool {
	switch {
	case c.broken != nil:
	case c.take(','):
		return true
	case c.take(c.closing):
		c.depth--
		c.closing = c.kinds.closing(c.depth)
	default:
		c.fail()
	}
	return false
}

// take passes over a sign and what white space follows, if it is there.
func (c *Cursor) take(sign byte) bool {
	if c.peek() != sign {
		return false
	}
	c.pass(c.at + 1)
	return true
}

// peek gives the next byte, or 0 at the end.
func (c *Cursor) peek() byte {
	if c.at < len(c.in) {
		return c.in[c.at]
	}
	return 0
}

// pass goes on after what ended at end, and the white space there.
func (c *Cursor) pass(end int) {
	at := end
	for at < len(c.in) && c.in[at] <= ' ' {
		if b := c.in[at]; b != ' ' && b != '\t' && b != '\r' && b != '\n' {
			break
		}
		at++
	}
	c.at, c.end = at, end
}

func (c *Cursor) fail() {
	if c.broken == nil {
		c.broken = fmt.Errorf("not JSON at byte %d", c.at)
	}
	c.in = c.in[:min(c.at, len(c.in))] // that is the end
}
