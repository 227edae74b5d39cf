package apiserver

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"time"
)

// array streams {"name": [item, ...]} without holding more than one item. The
// status line goes out with the first full buffer, so that an error before
// then can still be answered as one.
type array struct {
	w     *bufio.Writer
	items int
	name  string
}

// arrayBuffers are lent to arrays, one each. They are large because every write
// of a full one wakes its reader, and a hand-out has a quarter of a megabyte.
var arrayBuffers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 64<<10) }}

func (s *Server) newArray(w http.ResponseWriter, name string) *array {
	w.Header().Set("Content-Type", "application/json")
	steady := &steadyWriter{w: w, control: http.NewResponseController(w), timeout: s.opt.WriteTimeout}
	out := arrayBuffers.Get().(*bufio.Writer)
	out.Reset(steady)
	return &array{w: out, name: name}
}

// next begins an item and gives the writer for it.
func (a *array) next() io.Writer {
	if a.items == 0 {
		a.w.WriteString(`{"` + a.name + `":[`) // a failed write is kept for Flush
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
				panic(err) // there is no string that has no form
			}
			return append(dst, quoted...)
		}
	}
	dst = append(append(dst, '"'), text...)
	return append(dst, '"')
}

// isPlain says that a byte of a string is written as it is, which is not said
// of every byte of which that is so.
func isPlain(b byte) bool {
	return b >= ' ' && b < 0x7f && b != '"' && b != '\\' && b != '<' && b != '>' && b != '&'
}

// end closes the array and sends what is left; the array is not used again. One
// that is never ended keeps its buffer, which may hold what was not sent.
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

// steadyWriter gives each write a deadline of its own: a slow farmer may take
// as long as a large answer needs, but not stop reading it.
type steadyWriter struct {
	w       io.Writer
	control *http.ResponseController
	timeout time.Duration
}

func (w *steadyWriter) Write(p []byte) (int, error) {
	// A connection that knows no deadlines is a test's.
	_ = w.control.SetWriteDeadline(time.Now().Add(w.timeout))
	return w.w.Write(p)
}
