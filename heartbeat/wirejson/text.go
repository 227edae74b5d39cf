package wirejson

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// name reads the name of a member and the colon. The name is valid until the next
// read.
func (r *Reader) name() []byte {
	if r.space() != '"' {
		r.fail()
		return nil
	}
	r.kept = r.at
	escaped := r.skipString()
	length := r.at - r.kept
	r.take(':') // may move the window
	if r.broken == nil && (r.kept < 0 || r.tooLarge(length)) {
		r.refuse(ErrTooLarge)
	}
	if r.broken != nil {
		return nil
	}
	text := r.window[r.kept:][1 : length-1]
	r.kept = -1
	return r.content(text, escaped)
}

// readString reads a string. It returns the text between the quotes, which is valid
// until the next read, and whether the text has escapes.
func (r *Reader) readString() (text []byte, escaped bool, err error) {
	if r.space() != '"' {
		return nil, false, r.unexpected(errNotString)
	}
	r.begun = true
	r.kept = r.at
	escaped = r.skipString()
	if r.broken != nil {
		return nil, false, r.broken
	}
	whole, err := r.keptValue()
	if err != nil {
		return nil, false, err
	}
	return whole[1 : len(whole)-1], escaped, nil
}

// content returns the content of a string. It is valid until the next string is
// decoded.
func (r *Reader) content(text []byte, escaped bool) []byte {
	if !escaped && utf8.Valid(text) {
		return text
	}
	r.text = appendDecoded(r.text[:0], text)
	return r.text
}

// appendDecoded appends the content of a string whose escapes are valid. It writes
// U+FFFD for bytes that are not UTF-8 and for half of a surrogate pair, as
// encoding/json does.
func appendDecoded(dst, text []byte) []byte {
	for len(text) > 0 {
		if text[0] != '\\' {
			c, n := utf8.DecodeRune(text)
			dst, text = utf8.AppendRune(dst, c), text[n:]
			continue
		}
		if text[1] != 'u' {
			dst, text = append(dst, escapedByte(text[1])), text[2:]
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

// escapedByte returns the byte that a backslash and the letter encode.
func escapedByte(letter byte) byte {
	if i := strings.IndexByte("bfnrt", letter); i >= 0 {
		return "\b\f\n\r\t"[i]
	}
	return letter
}

// codeUnit returns the number that \uXXXX encodes.
func codeUnit(escape []byte) (c rune) {
	for _, b := range escape[2:6] {
		if c = c<<4 + rune(b&0x0f); b > '9' {
			c += 9 // because the low bits of a letter start with 1
		}
	}
	return c
}
