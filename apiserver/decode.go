package apiserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/driveshare/downstream-node/heartbeat/wirejson"
)

// decodeBody reads the whole of a small request body into v. want says what
// the body should have been.
func (s *Server) decodeBody(w http.ResponseWriter, r *http.Request, v any, want string) error {
	body, err := openBody(w, r, s.opt.MaxBody)
	if err != nil {
		return bodyError(err, want)
	}
	if err := json.NewDecoder(body).Decode(v); err != nil {
		return bodyError(err, want)
	}
	return nil
}

// readers read bodies, in memory that others used before.
var readers = sync.Pool{New: func() any { return new(wirejson.Reader) }}

// readObject reads a request body that is a JSON object with read, which is
// told the name of each member and reads its value. An error that is not about
// the body is returned as it is.
func (s *Server) readObject(w http.ResponseWriter, r *http.Request, want string, read func(in *wirejson.Reader, name []byte) error) error {
	body, err := openBody(w, r, s.opt.MaxBody)
	if err != nil {
		return bodyError(err, want)
	}
	in := readers.Get().(*wirejson.Reader)
	defer readers.Put(in)
	in.Reset(body)
	err = in.Object(func(name []byte) error { return read(in, name) })
	if e, ok := errors.AsType[*wirejson.Error](err); ok {
		return bodyError(e, want)
	}
	return err
}

// readArray reads a request body that is a JSON object with read, which is
// called for every element of its array called name and reads it. Other members
// are passed over.
func (s *Server) readArray(w http.ResponseWriter, r *http.Request, name, want string, read func(in *wirejson.Reader) error) error {
	found := false
	err := s.readObject(w, r, want, func(in *wirejson.Reader, member []byte) error {
		if string(member) != name {
			return in.Skip()
		}
		found = true
		_, err := in.Array(func(int) error { return read(in) })
		return err
	})
	if err == nil && !found {
		err = bodyError(fmt.Errorf("no %q", name), want)
	}
	return err
}

// bodyError is what to tell of a body that could not be read as want.
func bodyError(err error, want string) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return err
	}
	if _, ok := errors.AsType[*apiError](err); ok {
		return err
	}
	if errors.Is(err, io.EOF) {
		return badRequest("request body is empty, it must be JSON: " + want)
	}
	return badRequest("request body must be JSON: " + want)
}
