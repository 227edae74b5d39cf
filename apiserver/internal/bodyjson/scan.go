package bodyjson

import (
	"encoding/binary"
	"io"
	"math/bits"
)

// maxDepth is how deeply objects and arrays can be nested, which is what
// encoding/json allows.
const maxDepth = 10_000

// fill reads more of the input. It says whether there is more.
func (r *Reader) fill() bool {
	if r.in == nil || r.failed != nil {
		return false
	}
	from := r.at
	if r.kept >= 0 {
		from, r.kept = r.kept, 0
	}
	n := copy(r.window, r.window[from:])
	r.window, r.at = r.window[:n], r.at-from
	if n == cap(r.window) {
		r.window = append(make([]byte, 0, 2*n), r.window...)
	}
	for range 100 {
		more, err := r.in.Read(r.window[n:cap(r.window)])
		r.window, r.failed = r.window[:n+more], err
		if more > 0 || err != nil {
			return more > 0
		}
	}
	r.failed = io.ErrNoProgress
	return false
}

// peek gives the next byte, and 0, which is no part of JSON, at the end.
func (r *Reader) peek() byte {
	if r.at < len(r.window) || r.fill() {
		return r.window[r.at]
	}
	return 0
}

// space passes over white space and gives the byte after it.
func (r *Reader) space() byte {
	if r.at < len(r.window) && r.window[r.at] > ' ' {
		return r.window[r.at]
	}
	return r.passSpace()
}

func (r *Reader) passSpace() byte {
	for {
		switch b := r.peek(); b {
		case ' ', '\t', '\r', '\n':
			r.at++
		default:
			return b
		}
	}
}

// take reads a sign, which must be there.
func (r *Reader) take(sign byte) {
	if r.space() != sign {
		r.fail()
		return
	}
	r.at++
}

// enter opens an object or an array, if there is one.
func (r *Reader) enter(bracket byte) bool {
	if r.space() != bracket || len(r.open) == maxDepth {
		return false
	}
	r.at++
	r.begun = true
	r.open = append(r.open, bracket)
	return true
}

// first says whether there is an element before the closing bracket, and
// another whether there is one more. Else they read the bracket.
func (r *Reader) first() bool {
	return r.space() != r.closing() || r.another()
}

func (r *Reader) another() bool {
	switch r.space() {
	case ',':
		r.at++
		return true
	case r.closing():
		r.at++
		r.open = r.open[:len(r.open)-1]
	default:
		r.fail()
	}
	return false
}

// closing is the bracket that closes the innermost that is open.
func (r *Reader) closing() byte { return r.open[len(r.open)-1] + 2 } // of both, in ASCII

// skip reads one value of any kind, and all that is in it.
func (r *Reader) skip() {
	outside := len(r.open)
	for {
		more := false // whether another value follows
		if b := r.space(); b != '{' && b != '[' {
			r.skipScalar(b)
		} else if r.enter(b) {
			more = r.first()
		} else {
			r.fail() // nested too deeply
		}
		for !more && len(r.open) > outside && r.broken == nil {
			more = r.another()
		}
		if !more || r.broken != nil {
			return
		}
		if r.closing() == '}' {
			r.skipName()
		}
	}
}

func (r *Reader) skipName() {
	if r.space() != '"' {
		r.fail()
		return
	}
	r.skipString()
	r.take(':')
}

func (r *Reader) skipScalar(first byte) {
	r.begun = r.begun || first != 0
	switch first {
	case '"':
		r.skipString()
	case 't':
		r.skipWord("true")
	case 'f':
		r.skipWord("false")
	case 'n':
		r.skipWord("null")
	default:
		r.skipNumber()
	}
}

func (r *Reader) skipWord(word string) {
	for i := range len(word) {
		if r.peek() != word[i] {
			r.fail()
			return
		}
		r.at++
	}
}

// plainBytes counts the bytes, from the first, that stand for themselves in a
// string.
func plainBytes(b []byte) int {
	n := 0
	for ; len(b)-n >= 8; n += 8 {
		if special := specialBytes(binary.LittleEndian.Uint64(b[n:])); special != 0 {
			return n + bits.TrailingZeros64(special)/8
		}
	}
	for n < len(b) && b[n] >= ' ' && b[n] != '"' && b[n] != '\\' {
		n++
	}
	return n
}

// specialBytes looks at eight bytes at once and sets the highest bit of those
// that are a quote, a backslash or a control character. Of the bytes above one
// that is, it may say so without reason.
func specialBytes(b uint64) uint64 {
	const (
		each    = 0x0101010101010101
		highest = 0x80 * each
	)
	quote, backslash := b^'"'*each, b^'\\'*each
	return ((b-' '*each)&^b | (quote-each)&^quote | (backslash-each)&^backslash) & highest
}

func (r *Reader) skipString() {
	r.at++ // the quote
	for r.broken == nil {
		r.at += plainBytes(r.window[r.at:])
		if r.at == len(r.window) && r.fill() {
			continue // the next part of the body
		}
		switch r.peek() {
		case '"':
			r.at++
			return
		case '\\':
			r.at++
			r.skipEscape()
		default:
			r.fail()
		}
	}
}

func (r *Reader) skipEscape() {
	switch r.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		r.at++
	case 'u':
		r.at++
		for range 4 {
			switch b := r.peek(); {
			case '0' <= b && b <= '9', 'a' <= b && b <= 'f', 'A' <= b && b <= 'F':
				r.at++
			default:
				r.fail()
				return
			}
		}
	default:
		r.fail()
	}
}

// skipNumber reads -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
func (r *Reader) skipNumber() {
	if r.peek() == '-' {
		r.at++
	}
	if r.peek() == '0' {
		r.at++
	} else {
		r.skipDigits()
	}
	if r.peek() == '.' {
		r.at++
		r.skipDigits()
	}
	if b := r.peek(); b == 'e' || b == 'E' {
		r.at++
		if b := r.peek(); b == '+' || b == '-' {
			r.at++
		}
		r.skipDigits()
	}
}

// skipDigits reads at least one digit.
func (r *Reader) skipDigits() {
	b := r.peek()
	if b < '0' || b > '9' {
		r.fail()
	}
	for ; '0' <= b && b <= '9'; b = r.peek() {
		r.at++
	}
}
