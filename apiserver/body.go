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

const (
	// readBytes is the memory for reading a body, and inflateBytes the memory for
	// decompressing it.
	readBytes    = 24 << 10
	inflateBytes = 48 << 10
	// A compressed body may become inflateRatio times as large, and freeInflation bytes
	// more. Proofs and hashes are nearly random, so honest bodies stay far below. With
	// this limit, the work for a body is in proportion to what its client sends.
	inflateRatio  = 16
	freeInflation = 64 << 10
	// textBytes is the maximum size of a string in a body that is neither a proof nor
	// the body of /new.
	textBytes = 16 << 10
)

// openedBody is a request's body, decompressed. The request holds its memory, a part of
// api.bodyBudget, until close.
type openedBody struct {
	io.Reader
	exchange *exchange
	held     int64
	inflater *gzip.Reader
}

// inflaters holds decompressors for reuse, because each one has large buffers.
var inflaters = sync.Pool{New: func() any { return new(gzip.Reader) }}

func (b *openedBody) close() {
	b.exchange.free(b.held)
	if b.inflater != nil {
		inflaters.Put(b.inflater)
	}
}

// openBody returns a request's body, which the caller must close. If the body begins
// with the two bytes of a gzip file, openBody decompresses it. The body is limited to
// most bytes before decompression, and also after it. It is never more than
// api.maxBody. The reader of the body uses up to memory bytes.
//
// openBody ignores the header Content-Encoding, because deployed farmers send
// "Content-Encoding: gzip" with a body that is not compressed.
func (s *Server) openBody(w http.ResponseWriter, r *http.Request, most, memory int64) (*openedBody, error) {
	most = min(most, int64(s.cfg.MaxBody))
	sent := &countedReader{Reader: http.MaxBytesReader(w, r.Body, most)}
	// A small buffer is enough, because the caller reads into a larger buffer.
	raw := bufio.NewReaderSize(sent, 512)
	magic, err := raw.Peek(2)
	if err != nil && err != io.EOF {
		return nil, err
	}
	body := &openedBody{Reader: raw, exchange: exchangeOf(r), held: memory}
	compressed := len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b
	if compressed {
		body.held += inflateBytes
	}
	if err := body.exchange.hold(r.Context(), body.held); err != nil {
		return nil, err
	}
	if compressed {
		body.inflater = inflaters.Get().(*gzip.Reader)
		if body.inflater.Reset(raw) != nil {
			body.close()
			return nil, badRequest("request body is not valid gzip")
		}
		body.Reader = http.MaxBytesReader(nil, io.NopCloser(&inflation{from: body.inflater, sent: sent}), most)
	}
	return body, nil
}

// countedReader counts the bytes that were read.
type countedReader struct {
	io.Reader
	read int64
}

func (c *countedReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read += int64(n)
	return n, err
}

// inflation is the content of a compressed body. A read fails if the content is too
// large for what the client has sent.
type inflation struct {
	from io.Reader
	sent *countedReader
	size int64
}

func (i *inflation) Read(p []byte) (int, error) {
	n, err := i.from.Read(p)
	if i.size += int64(n); i.size > freeInflation+inflateRatio*i.sent.read {
		return 0, errInflates
	}
	return n, err
}

// decodeBody reads a small request body into v. want describes a correct body.
func (s *Server) decodeBody(w http.ResponseWriter, r *http.Request, most int64, v any, want string) error {
	body, err := s.openBody(w, r, most, readBytes+most)
	if err != nil {
		return bodyError(err, want)
	}
	defer body.close()
	if err := json.NewDecoder(body).Decode(v); err != nil {
		return bodyError(err, want)
	}
	return nil
}

// bodyLimits are the maximum sizes of a body and of each of its values.
type bodyLimits struct{ body, value int64 }

// readers holds JSON readers for reuse, because each reader has a buffer.
var readers = sync.Pool{New: func() any { return new(wirejson.Reader) }}

// readObject reads a request body that is a JSON object. It calls read with the
// name of each member, and read must read the member's value. If the JSON is wrong,
// readObject returns an error that contains want. It returns other errors of read
// unchanged.
func (s *Server) readObject(w http.ResponseWriter, r *http.Request, limits bodyLimits, want string, read func(in *wirejson.Reader, name []byte) error) error {
	body, err := s.openBody(w, r, limits.body, readBytes+2*limits.value)
	if err != nil {
		return bodyError(err, want)
	}
	defer body.close()
	in := readers.Get().(*wirejson.Reader)
	defer readers.Put(in)
	in.Reset(body)
	in.Limit(int(limits.value))
	err = in.Object(func(name []byte) error { return read(in, name) })
	if e, ok := errors.AsType[*wirejson.Error](err); ok {
		return bodyError(e, want)
	}
	return err
}

// readArray reads a request body that is a JSON object with an array called name. It
// calls read for each element of the array, and read must read the element.
// readArray skips the object's other members. value is the maximum size of each value.
func (s *Server) readArray(w http.ResponseWriter, r *http.Request, value int64, name, want string, read func(in *wirejson.Reader) error) error {
	found := false
	err := s.readObject(w, r, bodyLimits{int64(s.cfg.MaxBody), value}, want, func(in *wirejson.Reader, member []byte) error {
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
	case errors.Is(err, wirejson.ErrTooLarge):
		return errTooLarge
	case errors.Is(err, io.EOF):
		return badRequest("request body is empty, it must be JSON: " + want)
	case isWrongShape(err):
		return wrongShape(want)
	}
	return badRequest("request body must be JSON: " + want)
}
