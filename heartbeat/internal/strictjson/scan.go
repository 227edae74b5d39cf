package strictjson

import "bytes"

// The functions here walk over bytes that are known to be JSON, so they look
// for nothing but where a value ends.

const whitespace = " \t\r\n"

// inside gives what is between the brackets of an object or an array.
func (v Value) inside() []byte {
	return bytes.Trim(v[1:len(v)-1], whitespace)
}

// cut takes the first value off what is inside an object or an array, along
// with the colon or comma after it.
func cut(b []byte) (first Value, rest []byte) {
	end := valueEnd(b)
	first = Value(b[:end])
	rest = bytes.TrimLeft(b[end:], whitespace)
	if len(rest) > 0 {
		rest = bytes.TrimLeft(rest[1:], whitespace)
	}
	return first, rest
}

// valueEnd gives the length of the value that b starts with.
func valueEnd(b []byte) int {
	switch b[0] {
	case '"':
		return stringEnd(b)
	case '{', '[':
		return nestEnd(b)
	}
	if end := bytes.IndexAny(b, whitespace+",:]}"); end >= 0 {
		return end
	}
	return len(b)
}

// stringEnd gives the length of the string that b starts with.
func stringEnd(b []byte) int {
	for at := 1; ; {
		quote := at + bytes.IndexByte(b[at:], '"')
		escape := bytes.IndexByte(b[at:quote], '\\')
		if escape < 0 {
			return quote + 1
		}
		// Past the backslash and what it escapes, which may be the quote.
		at += escape + 2
	}
}

// nestEnd gives the length of the object or array that b starts with.
func nestEnd(b []byte) int {
	depth := 0
	for at := 0; ; at++ {
		switch b[at] {
		case '"':
			at += stringEnd(b[at:]) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return at + 1
			}
		}
	}
}
