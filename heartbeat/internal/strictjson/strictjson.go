package strictjson

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// Object is the members of a JSON object, each still unread.
type Object map[string]json.RawMessage

// ParseObject reads a JSON object.
func ParseObject(raw json.RawMessage) (Object, error) {
	var members *Object
	if err := unmarshal(raw, &members); err != nil {
		return nil, err
	}
	if members == nil {
		return nil, errors.New("null, want an object")
	}
	return *members, nil
}

// Member gives the member of that name; it is an error if there is none.
func (o Object) Member(name string) (json.RawMessage, error) {
	raw, ok := o[name]
	if !ok {
		return nil, fmt.Errorf("%q is missing", name)
	}
	return raw, nil
}

// Object gives the member of that name, which must be an object.
func (o Object) Object(name string) (Object, error) {
	return member(o, name, ParseObject)
}

// Int64 gives the member of that name, which must be an integer, written
// without fraction or exponent.
func (o Object) Int64(name string) (int64, error) {
	return member(o, name, func(raw json.RawMessage) (int64, error) {
		var v *int64
		if err := unmarshal(raw, &v); err != nil {
			return 0, err
		}
		if v == nil {
			return 0, errors.New("null, want an integer")
		}
		return *v, nil
	})
}

// OptionalFloat64 gives the member of that name, which must be a number, or
// null, which gives nil.
func (o Object) OptionalFloat64(name string) (*float64, error) {
	return member(o, name, func(raw json.RawMessage) (*float64, error) {
		var v *float64
		err := unmarshal(raw, &v)
		return v, err
	})
}

// String gives the member of that name, which must be a string.
func (o Object) String(name string) (string, error) {
	return member(o, name, ParseString)
}

// Base64 gives the bytes of the member of that name, which must be a string
// of standard base64.
func (o Object) Base64(name string) ([]byte, error) {
	return member(o, name, ParseBase64)
}

// ParseString reads a JSON string.
func ParseString(raw json.RawMessage) (string, error) {
	var v *string
	if err := unmarshal(raw, &v); err != nil {
		return "", err
	}
	if v == nil {
		return "", errors.New("null, want a string")
	}
	return *v, nil
}

// ParseBase64 reads a JSON string of standard base64 and gives its bytes,
// never nil without an error.
func ParseBase64(raw json.RawMessage) ([]byte, error) {
	// A long string without escapes, and base64 needs none, is read in place:
	// tags are megabytes.
	text := bytes.TrimSpace(raw)
	if len(text) >= 2 && text[0] == '"' && bytes.IndexByte(text[1:], '"') == len(text)-2 && bytes.IndexByte(text, '\\') < 0 {
		return decode(text[1 : len(text)-1])
	}
	s, err := ParseString(raw)
	if err != nil {
		return nil, err
	}
	return decode([]byte(s))
}

// ParseStrings reads an array of strings.
func ParseStrings(raw json.RawMessage) ([]string, error) {
	var pointers []*string
	if err := unmarshalArray(raw, &pointers); err != nil {
		return nil, err
	}
	return dereference(pointers)
}

// ParseStringRows reads an array of arrays of strings.
func ParseStringRows(raw json.RawMessage) ([][]string, error) {
	var pointers [][]*string
	if err := unmarshalArray(raw, &pointers); err != nil {
		return nil, err
	}
	rows := make([][]string, len(pointers))
	for i, row := range pointers {
		if row == nil {
			return nil, errors.New("null, want an array")
		}
		var err error
		if rows[i], err = dereference(row); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// DecodeBase64 gives the bytes of a string of standard base64.
func DecodeBase64(s string) ([]byte, error) {
	return decode([]byte(s))
}

func decode(text []byte) ([]byte, error) {
	b := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(b, text)
	if err != nil {
		return nil, fmt.Errorf("base64: %w", err)
	}
	return b[:n], nil
}

func member[T any](o Object, name string, parse func(json.RawMessage) (T, error)) (T, error) {
	raw, err := o.Member(name)
	if err != nil {
		var zero T
		return zero, err
	}
	v, err := parse(raw)
	if err != nil {
		return v, fmt.Errorf("%q: %w", name, err)
	}
	return v, nil
}

func dereference(pointers []*string) ([]string, error) {
	values := make([]string, len(pointers))
	for i, p := range pointers {
		if p == nil {
			return nil, errors.New("null, want a string")
		}
		values[i] = *p
	}
	return values, nil
}

func unmarshalArray[T any](raw json.RawMessage, v *[]T) error {
	if err := unmarshal(raw, v); err != nil {
		return err
	}
	if *v == nil {
		return errors.New("null, want an array")
	}
	return nil
}

// unmarshal is json.Unmarshal with errors that speak of JSON and not of Go
// types.
func unmarshal(raw json.RawMessage, v any) error {
	err := json.Unmarshal(raw, v)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("a %s at byte %d, which should not be one", wrong.Value, wrong.Offset)
	}
	return err
}
