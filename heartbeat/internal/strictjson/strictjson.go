package strictjson

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
)

// Value is a part of a document that Parse has found to be JSON, with no white
// space around it. It shares the memory of the document.
type Value []byte

// Parse checks that raw is one JSON value. It reads all of it once; what is
// then asked of the value reads no more than it has to.
func Parse(raw json.RawMessage) (Value, error) {
	if !json.Valid(raw) {
		var v any
		return nil, json.Unmarshal(raw, &v) // for its error
	}
	return Value(bytes.Trim(raw, whitespace)), nil
}

// Member gives the member of that name. It is an error if v is not an object
// or has no such member; of several, the last counts.
func (v Value) Member(name string) (Value, error) {
	found, err := v.lookup(name)
	if err == nil && found == nil {
		err = fmt.Errorf("%q is missing", name)
	}
	return found, err
}

// Has says whether v is an object with a member of that name.
func (v Value) Has(name string) bool {
	found, err := v.lookup(name)
	return err == nil && found != nil
}

// Int64 gives the member of that name, which must be an integer, written
// without fraction or exponent.
func (v Value) Int64(name string) (int64, error) {
	member, err := v.Member(name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(member), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is %s, want an integer", name, member.kind())
	}
	return n, nil
}

// OptionalFloat64 gives the member of that name, which must be a number, or
// null, which gives nil.
func (v Value) OptionalFloat64(name string) (*float64, error) {
	member, err := v.Member(name)
	if err != nil || string(member) == "null" {
		return nil, err
	}
	var number float64
	if json.Unmarshal(member, &number) != nil {
		return nil, fmt.Errorf("%q is %s, want a number or null", name, member.kind())
	}
	return &number, nil
}

// String gives the member of that name, which must be a string.
func (v Value) String(name string) (string, error) {
	member, err := v.Member(name)
	if err != nil {
		return "", err
	}
	text, err := member.text()
	if err != nil {
		return "", fmt.Errorf("%q is %w", name, err)
	}
	return string(text), nil
}

// Base64 gives the bytes of the member of that name, which must be a string
// of standard base64.
func (v Value) Base64(name string) ([]byte, error) {
	member, err := v.Member(name)
	if err != nil {
		return nil, err
	}
	b, err := member.AppendBase64(nil)
	if err != nil {
		return nil, fmt.Errorf("%q is %w", name, err)
	}
	return b, nil
}

// standard refuses bits that the last character has and the bytes have not.
var standard = base64.StdEncoding.Strict()

// AppendBase64 appends the bytes of v, which must be a string of standard
// base64, to dst.
func (v Value) AppendBase64(dst []byte) ([]byte, error) {
	text, err := v.text()
	if err != nil {
		return nil, err
	}
	dst, err = standard.AppendDecode(dst, text)
	if err != nil {
		return nil, fmt.Errorf("not standard base64: %w", err)
	}
	return dst, nil
}

// Elements gives the elements of v, which must be an array.
func (v Value) Elements() (iter.Seq[Value], error) {
	if v[0] != '[' {
		return nil, fmt.Errorf("%s, want an array", v.kind())
	}
	return func(yield func(Value) bool) {
		for rest := v.inside(); len(rest) > 0; {
			var element Value
			if element, rest = cut(rest); !yield(element) {
				return
			}
		}
	}, nil
}

// lookup gives nil where there is no such member.
func (v Value) lookup(name string) (found Value, err error) {
	if v[0] != '{' {
		return nil, fmt.Errorf("%s, want an object", v.kind())
	}
	for rest := v.inside(); len(rest) > 0; {
		var key, member Value
		key, rest = cut(rest)
		member, rest = cut(rest)
		text, err := key.text()
		if err != nil {
			return nil, err
		}
		if string(text) == name {
			found = member
		}
	}
	return found, nil
}

// text gives the content of a string.
func (v Value) text() ([]byte, error) {
	if v[0] != '"' {
		return nil, fmt.Errorf("%s, want a string", v.kind())
	}
	if bytes.IndexByte(v, '\\') < 0 {
		return v[1 : len(v)-1], nil
	}
	var s string
	if err := json.Unmarshal(v, &s); err != nil {
		return nil, err
	}
	return []byte(s), nil
}

// kind is what v is, for errors, which do not repeat what strangers sent.
func (v Value) kind() string {
	switch v[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number of another kind"
}
