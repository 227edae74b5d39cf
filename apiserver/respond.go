package apiserver

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A client that has disconnected needs no response, so the functions that write a
// whole response ignore errors.

// respond makes a handler of a function that returns the response.
func respond[T any](response func(r *http.Request) (T, error)) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		v, err := response(r)
		if err == nil {
			writeJSON(w, http.StatusOK, v)
		}
		return err
	}
}

// respondTagged is respond with an ETag.
func respondTagged[T any](response func(r *http.Request) (T, error)) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		v, err := response(r)
		if err != nil {
			return err
		}
		return writeTagged(w, r, v)
	}
}

// writeTagged writes v with an ETag, or 304 if the client has this version. The
// tag is a digest of the body, so all replicas have the same.
func writeTagged(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", "no-cache") // store it, and ask each time whether it has changed
	if strings.Contains(r.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	writeRawJSON(w, http.StatusOK, append(body, '\n'))
	return nil
}

// writeError writes an error in the form that the protocol fixes.
func writeError(w http.ResponseWriter, e *apiError) {
	if e.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(e.retryAfter.Seconds())))
	}
	writeJSON(w, e.status, struct {
		Status  string `json:"status"`
		Message string `json:"message"`
	}{"error", e.message})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// writeRawJSON writes a body that is JSON already.
func writeRawJSON(w http.ResponseWriter, status int, raw []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(raw)
}

// onlyHead responds to HEAD on a route whose GET makes or hands out something.
func onlyHead(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodHead {
		writeRawJSON(w, http.StatusOK, nil)
	}
	return r.Method == http.MethodHead
}

// array streams {"name": [item, ...]}. The status line goes out with the first
// full buffer, so an error before that can still have its own response.
type array struct {
	w     *bufio.Writer
	items int
	name  string
}

// arrayBuffers holds buffers for reuse. They are large because each write wakes
// the client, and a hand-out has a quarter of a megabyte.
var arrayBuffers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 64<<10) }}

func (s *Server) newArray(w http.ResponseWriter, name string) *array {
	w.Header().Set("Content-Type", "application/json")
	out := arrayBuffers.Get().(*bufio.Writer)
	out.Reset(&deadlineWriter{w: w, control: http.NewResponseController(w), timeout: s.cfg.WriteTimeout})
	return &array{w: out, name: name}
}

// next begins an item and returns the writer for it.
func (a *array) next() io.Writer {
	if a.items == 0 {
		a.w.WriteString(`{"` + a.name + `":[`) // Flush returns the error
	} else {
		a.w.WriteByte(',')
	}
	a.items++
	return a.w
}

// item writes v as an item.
func (a *array) item(v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = a.next().Write(raw)
	return err
}

// appendText appends a string as encoding/json writes it.
func appendText(dst []byte, text string) []byte {
	for i := range len(text) {
		if !isPlain(text[i]) {
			quoted, err := json.Marshal(text)
			if err != nil {
				panic(err) // every string can be encoded
			}
			return append(dst, quoted...)
		}
	}
	dst = append(append(dst, '"'), text...)
	return append(dst, '"')
}

// isPlain reports whether encoding/json writes a byte as it is. It may return
// false for a byte that is not escaped.
func isPlain(b byte) bool {
	return b >= ' ' && b < 0x7f && b != '"' && b != '\\' && b != '<' && b != '>' && b != '&'
}

// end closes the array, sends the rest, and releases the buffer. An array that
// fails must not be ended: its buffer may contain what was not sent.
func (a *array) end() error {
	if a.items == 0 {
		a.w.WriteString(`{"` + a.name + `":[`)
	}
	a.w.WriteString("]}\n")
	err := a.w.Flush()
	a.w.Reset(nil)
	arrayBuffers.Put(a.w)
	return err
}

// deadlineWriter gives each write its own deadline. A slow farmer may take long to
// read a large response, but must not stop reading it.
type deadlineWriter struct {
	w       io.Writer
	control *http.ResponseController
	timeout time.Duration
}

func (w *deadlineWriter) Write(p []byte) (int, error) {
	// Only a test's connection has no deadlines.
	_ = w.control.SetWriteDeadline(time.Now().Add(w.timeout))
	return w.w.Write(p)
}
