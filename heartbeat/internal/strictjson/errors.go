package strictjson

import (
	"errors"
	"fmt"
)

// The errors of a Cursor. Strangers can send any number of documents that are
// wrong, so that they are cheap to make and say what they say only when asked.

var (
	errMissing    = errors.New("missing")
	errNotObject  = errors.New("not an object")
	errNotArray   = errors.New("not an array")
	errNotInteger = errors.New("not an integer")
	errNotString  = errors.New("not a string")
	errNotBase64  = errors.New("not standard base64")
	errTooLong    = errors.New("longer than is allowed")
)

type memberError struct {
	name string
	err  error
}

func (e *memberError) Error() string { return fmt.Sprintf("%q: %v", e.name, e.err) }
func (e *memberError) Unwrap() error { return e.err }

type elementError struct {
	index int
	err   error
}

func (e *elementError) Error() string { return fmt.Sprintf("element %d: %v", e.index, e.err) }
func (e *elementError) Unwrap() error { return e.err }
