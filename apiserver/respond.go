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
)

// The functions that write a whole response ignore write errors, because such an
// error means that the client has disconnected.

// respond makes a handler from a function that returns the response. The handler
// writes the response as JSON.
func respond[T any](response func(r *http.Request) (T, error)) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		v, err := response(r)
		if err == nil {
			writeJSON(w, http.StatusOK, v)
		}
		return err
	}
}

// respondTagged is like respond, but the response has an ETag.
func respondTagged[T any](response func(r *http.Request) (T, error)) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		v, err := response(r)
		if err != nil {
			return err
		}
		return writeTagged(w, r, v)
	}
}

// writeTagged writes v with an ETag, or a 304 if the client already has this version.
// The tag is a digest of the body, so all replicas compute the same tag.
func writeTagged(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	w.Header().Set("ETag", tag)
	allowChecked(w)
	if strings.Contains(r.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	writeRawJSON(w, http.StatusOK, append(body, '\n'))
	return nil
}

// allowChecked allows the client to store the response. The client must check its ETag
// before each use.
func allowChecked(w http.ResponseWriter) { w.Header().Set("Cache-Control", "no-cache") }

// writeError writes an error in the form that the protocol defines.
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

// writeRawJSON writes a body that is already encoded as JSON.
func writeRawJSON(w http.ResponseWriter, status int, raw []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(raw)
}

// onlyHead responds to a HEAD request and returns true. For other methods it returns
// false. A handler that creates a token or contracts must call it first, because HEAD
// must not create anything.
func onlyHead(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodHead {
		writeRawJSON(w, http.StatusOK, nil)
	}
	return r.Method == http.MethodHead
}

// array streams {"name": [item, ...]}. It sends nothing until the first buffer is
// full, so a handler that fails before that can still send an error response.
type array struct {
	w     *bufio.Writer
	items int
	name  string
}

// arrayBuffers holds buffers for reuse. A buffer is large, so that a response needs
// few writes: each write wakes the client, and a /chunk response has about 256 KiB.
var arrayBuffers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 64<<10) }}

func (s *Server) newArray(w http.ResponseWriter, name string) *array {
	return s.newPacedArray(w, name, readRate)
}

// newPacedArray is newArray for a client that must read rate bytes per second.
func (s *Server) newPacedArray(w http.ResponseWriter, name string, rate int64) *array {
	w.Header().Set("Content-Type", "application/json")
	out := arrayBuffers.Get().(*bufio.Writer)
	out.Reset(newPacedWriter(w, http.NewResponseController(w).SetWriteDeadline, rate, s.cfg.WriteTimeout))
	return &array{w: out, name: name}
}

// next begins an item. The caller must write the item's JSON to the returned writer.
func (a *array) next() io.Writer {
	if a.items == 0 {
		a.w.WriteString(`{"` + a.name + `":[`) // a write error stays in the buffer, and Flush returns it
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

// appendText appends text to dst as a JSON string, as encoding/json writes it.
func appendText(dst []byte, text string) []byte {
	for i := range len(text) {
		if !isPlain(text[i]) {
			quoted, err := json.Marshal(text)
			if err != nil {
				panic(err) // encoding/json can encode every string
			}
			return append(dst, quoted...)
		}
	}
	dst = append(append(dst, '"'), text...)
	return append(dst, '"')
}

// isPlain reports whether encoding/json writes the byte unchanged. For some unchanged
// bytes it returns false; appendText is then only slower.
func isPlain(b byte) bool {
	return b >= ' ' && b < 0x7f && b != '"' && b != '\\' && b != '<' && b != '>' && b != '&'
}

// end closes the array, sends the rest, and releases the buffer. A handler that has
// failed must not call end, because the buffer may contain an incomplete item.
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
