package apiserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
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

// eachElement reads a request body that is a JSON object and calls each with
// every element of its array called name, holding one at a time. Other members
// are skipped. An error of each is returned as it is.
func eachElement[T any](s *Server, w http.ResponseWriter, r *http.Request, name, want string, each func(T) error) error {
	body, err := openBody(w, r, s.opt.MaxBody)
	if err != nil {
		return bodyError(err, want)
	}
	dec := json.NewDecoder(body)
	if err := expect(dec, json.Delim('{')); err != nil {
		return bodyError(err, want)
	}
	found := false
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return bodyError(err, want)
		}
		if key != name {
			if err := dec.Decode(new(json.RawMessage)); err != nil {
				return bodyError(err, want)
			}
			continue
		}
		found = true
		if err := decodeArray(dec, want, each); err != nil {
			return err
		}
	}
	if err := expect(dec, json.Delim('}')); err != nil {
		return bodyError(err, want)
	}
	if !found {
		return bodyError(fmt.Errorf("no %q", name), want)
	}
	return nil
}

func decodeArray[T any](dec *json.Decoder, want string, each func(T) error) error {
	if err := expect(dec, json.Delim('[')); err != nil {
		return bodyError(err, want)
	}
	for dec.More() {
		var element T
		if err := dec.Decode(&element); err != nil {
			return bodyError(err, want)
		}
		if err := each(element); err != nil {
			return err
		}
	}
	if err := expect(dec, json.Delim(']')); err != nil {
		return bodyError(err, want)
	}
	return nil
}

func expect(dec *json.Decoder, want json.Delim) error {
	got, err := dec.Token()
	switch {
	case err == io.EOF && dec.InputOffset() > 0:
		err = io.ErrUnexpectedEOF // the body is not empty, it is cut off
	case err == nil && got != want:
		err = fmt.Errorf("%v in place of %v", got, want)
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
