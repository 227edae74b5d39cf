package store

import (
	"bytes"
	"encoding/hex"
	"strconv"
)

// value is that of a column: a number, or bytes.
type value struct {
	number  int64
	bytes   []byte
	isBytes bool
}

func integer(n int64) value { return value{number: n} }

func integers(all ...int64) []value {
	values := make([]value, len(all))
	for i, n := range all {
		values[i] = integer(n)
	}
	return values
}

func blob(b []byte) value { return value{bytes: b, isBytes: true} }

func flag(on bool) value {
	if on {
		return integer(1)
	}
	return integer(0)
}

func (v value) is(w value) bool {
	return v.number == w.number && v.isBytes == w.isBytes && bytes.Equal(v.bytes, w.bytes)
}

// append writes the value as a statement has it.
func (v value) append(text []byte) []byte {
	if !v.isBytes {
		return strconv.AppendInt(text, v.number, 10)
	}
	return append(hex.AppendEncode(append(text, "x'"...), v.bytes), '\'')
}
