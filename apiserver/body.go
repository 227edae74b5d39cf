package apiserver

import (
	"bufio"
	"compress/gzip"
	"io"
	"net/http"
)

// openBody gives a request's body, decompressed where its first two bytes say
// that it is gzip, and limited to limit bytes both before and after that.
//
// The bytes decide, not the header: farmers in the field say
// "Content-Encoding: gzip" over a body that is not compressed.
func openBody(w http.ResponseWriter, r *http.Request, limit int64) (io.Reader, error) {
	raw := bufio.NewReaderSize(http.MaxBytesReader(w, r.Body, limit), 512) // who reads on has a larger one
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
	return &limitedReader{r: plain, left: limit, limit: limit}, nil
}

// limitedReader fails, where io.LimitedReader would only end, once more than
// its limit was read.
type limitedReader struct {
	r           io.Reader
	left, limit int64
}

func (l *limitedReader) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, &http.MaxBytesError{Limit: l.limit}
	}
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return n - 1, &http.MaxBytesError{Limit: l.limit}
	}
	return n, err
}
