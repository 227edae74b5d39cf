package apiserver

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"

	"github.com/driveshare/downstream-node/heartbeat/wirejson"
)

// openBody returns a request's body. If the body begins with the two bytes of a gzip
// file, openBody decompresses it. The body is limited to api.maxBody bytes before
// decompression, and also after it.
//
// openBody ignores the header Content-Encoding, because deployed farmers send
// "Content-Encoding: gzip" with a body that is not compressed.
func (s *Server) openBody(w http.ResponseWriter, r *http.Request) (io.Reader, error) {
	limit := int64(s.cfg.MaxBody)
	// A small buffer is enough, because the caller reads into a larger buffer.
	raw := bufio.NewReaderSize(http.MaxBytesReader(w, r.Body, limit), 512)
	magic, err := raw.Peek(2)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if len(magic) < 2 || magic[0] != 0x1f || magic[1] != 0x8b {
		return raw, nil
	}
	plain, err := gzip.NewReader(raw)
	if err != nil {
		return nil, badRequest("request body is not valid gzip")
	}
	return http.MaxBytesReader(nil, plain, limit), nil
}

// decodeBody reads a small request body into v. want describes a correct body.
func (s *Server) decodeBody(w http.ResponseWriter, r *http.Request, v any, want string) error {
	body, err := s.openBody(w, r)
	if err == nil {
		err = json.NewDecoder(body).Decode(v)
	}
	if err != nil {
		return bodyError(err, want)
	}
	return nil
}

// readers holds JSON readers for reuse, because each reader has a buffer.
var readers = sync.Pool{New: func() any { return new(wirejson.Reader) }}

// readObject reads a request body that is a JSON object. It calls read with the
// name of each member, and read must read the member's value. If the JSON is wrong,
// readObject returns an error that contains want. It returns other errors of read
// unchanged.
func (s *Server) readObject(w http.ResponseWriter, r *http.Request, want string, read func(in *wirejson.Reader, name []byte) error) error {
	body, err := s.openBody(w, r)
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

// readArray reads a request body that is a JSON object with an array called name. It
// calls read for each element of the array, and read must read the element.
// readArray skips the object's other members.
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
		err = wrongShape(want)
	}
	return err
}

// bodyError returns the error for a body that is not as want describes.
func bodyError(err error, want string) error {
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	_, classified := errors.AsType[*apiError](err)
	switch {
	case tooLarge || classified:
		return err
	case errors.Is(err, io.EOF):
		return badRequest("request body is empty, it must be JSON: " + want)
	case isWrongShape(err):
		return wrongShape(want)
	}
	return badRequest("request body must be JSON: " + want)
}
