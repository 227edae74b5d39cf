package apiserver

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// A request's body must arrive at bodyRate bytes per second or more. The client may be
// behind by bodyGrace. Only the time in which the node waits for the client counts.
const (
	bodyRate  = 1 << 10
	bodyGrace = 5 * time.Second
)

// pacedBody reads the body of a request. A read fails if the client is too slow.
type pacedBody struct {
	io.ReadCloser
	setDeadline func(time.Time) error
	end         time.Time     // when the whole body must have arrived
	credit      time.Duration // how long the node waits for the next bytes
	ended       bool
}

func (b *pacedBody) Read(p []byte) (int, error) {
	if b.ended {
		return 0, io.EOF
	}
	start := time.Now()
	deadline := start.Add(b.credit)
	if b.end.Before(deadline) {
		deadline = b.end
	}
	_ = b.setDeadline(deadline) // the connection of a test may have no deadlines
	n, err := b.ReadCloser.Read(p)
	b.credit += time.Duration(n)*time.Second/bodyRate - time.Since(start)
	b.credit = min(b.credit, bodyGrace)
	switch {
	case err == io.EOF:
		// Now net/http reads from the connection to notice that the client closes it.
		// If this read reached a deadline, net/http would cancel the request.
		_ = b.setDeadline(time.Time{})
		b.ended = true
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = errSlowBody
	}
	return n, err
}

// firstPart is the part of a body that must have arrived before the request gets a
// slot. It is more than a proof needs.
const firstPart = 4 << 10

// bufferedBody is a body whose first part is in memory.
type bufferedBody struct {
	*bufio.Reader
	pacedBody
}

// firstParts holds bodies for reuse, because each one has a buffer.
var firstParts = sync.Pool{New: func() any { return &bufferedBody{Reader: bufio.NewReaderSize(nil, firstPart)} }}

// await waits until the first part of the body has arrived.
func (b *bufferedBody) await(e *exchange, r *http.Request) error {
	b.pacedBody = pacedBody{
		ReadCloser:  r.Body,
		setDeadline: http.NewResponseController(e.ResponseWriter).SetReadDeadline,
		end:         time.Now().Add(e.server.cfg.ReadTimeout),
		credit:      bodyGrace,
	}
	b.Reader.Reset(&b.pacedBody)
	_, err := b.Peek(firstPart)
	if err == errSlowBody {
		return err
	}
	return nil // the handler gets every other error when it reads the body
}

func (b *bufferedBody) put() {
	b.Reader.Reset(nil)
	b.pacedBody = pacedBody{}
	firstParts.Put(b)
}

func (b *bufferedBody) Read(p []byte) (int, error) { return b.Reader.Read(p) }

// A client must read a streamed response at readRate bytes per second or more, and a
// long list at longListRate, because few long lists can be in flight. The client may be
// behind by api.writeTimeout. Only the time in which the node waits for the client counts.
const (
	readRate     = 1 << 10
	longListRate = 64 << 10
)

// pacedWriter writes a response. A write fails if the client reads too slowly.
type pacedWriter struct {
	io.Writer
	setDeadline func(time.Time) error
	rate        int64         // bytes per second
	grace       time.Duration // the maximum of credit
	credit      time.Duration // how long the node waits until the client has read the next bytes
}

func newPacedWriter(w io.Writer, setDeadline func(time.Time) error, rate int64, grace time.Duration) *pacedWriter {
	return &pacedWriter{Writer: w, setDeadline: setDeadline, rate: rate, grace: grace, credit: grace}
}

func (w *pacedWriter) Write(p []byte) (int, error) {
	start := time.Now()
	_ = w.setDeadline(start.Add(w.credit)) // the connection of a test may have no deadlines
	n, err := w.Writer.Write(p)
	w.credit += time.Duration(n)*time.Second/time.Duration(w.rate) - time.Since(start)
	w.credit = min(w.credit, w.grace)
	return n, err
}
