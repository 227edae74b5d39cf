package bodyjson

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// content is what a sound string says, good until the next is decoded.
func (r *Reader) content(v []byte) []byte {
	text := v[1 : len(v)-1]
	if bytes.IndexByte(text, '\\') < 0 && utf8.Valid(text) {
		return text
	}
	r.text = appendDecoded(r.text[:0], text)
	return r.text
}

// appendDecoded appends the content of a sound string. As encoding/json has
// it, what is not UTF-8 and half a pair of surrogates become U+FFFD.
func appendDecoded(dst, text []byte) []byte {
	for len(text) > 0 {
		if text[0] != '\\' {
			c, n := utf8.DecodeRune(text)
			dst, text = utf8.AppendRune(dst, c), text[n:]
			continue
		}
		if text[1] != 'u' {
			dst, text = append(dst, escaped(text[1])), text[2:]
			continue
		}
		c := codeUnit(text)
		text = text[6:]
		if utf16.IsSurrogate(c) {
			pair := utf8.RuneError
			if len(text) >= 6 && text[0] == '\\' && text[1] == 'u' {
				pair = utf16.DecodeRune(c, codeUnit(text))
			}
			if c = pair; c != utf8.RuneError {
				text = text[6:]
			}
		}
		dst = utf8.AppendRune(dst, c)
	}
	return dst
}

// escaped is what a letter stands for after a backslash.
func escaped(letter byte) byte {
	switch letter {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return letter
}

// codeUnit is that of \uXXXX.
func codeUnit(escape []byte) (c rune) {
	for _, b := range escape[2:6] {
		if c = c<<4 + rune(b&0x0f); b > '9' {
			c += 9 // of a letter, the low bits begin with 1
		}
	}
	return c
}
