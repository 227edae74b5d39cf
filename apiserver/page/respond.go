package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// policy lets a page do what it does and nothing else: everything comes from
// this host, and nothing is written into the page itself.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; " +
	"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func secure(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("X-Frame-Options", "DENY") // for browsers that do not know frame-ancestors
}

// compressFrom is the length below which compressing gains nothing.
const compressFrom = 512

var compressors = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, 4) // the level is one that there is
	return w
}}

// send answers with what changes, unless the visitor has it already.
func send(w http.ResponseWriter, r *http.Request, status int, kind string, body []byte, began time.Time) {
	h := w.Header()
	secure(h)
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "Accept-Encoding")
	h.Set("Server-Timing", "page;dur="+strconv.FormatFloat(float64(time.Since(began).Microseconds())/1000, 'f', 2, 64))
	sum := sha256.Sum256(body)
	// Weak, because the compressed form has the same.
	tag := `W/"` + hex.EncodeToString(sum[:8]) + `"`
	h.Set("ETag", tag)
	if status == http.StatusOK && strings.Contains(r.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if len(body) >= compressFrom && acceptsGzip(r) {
		body = compressed(body)
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(body) // a visitor that went away needs no answer
	}
}

func compressed(body []byte) []byte {
	var b bytes.Buffer
	z := compressors.Get().(*gzip.Writer)
	defer compressors.Put(z)
	z.Reset(&b)
	z.Write(body) // a buffer takes everything
	z.Close()
	return b.Bytes()
}

// acceptsGzip says whether the visitor names gzip and does not refuse it.
func acceptsGzip(r *http.Request) bool {
	for _, coding := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(coding), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(weight), "q="), 64)
			return err != nil || q > 0
		}
	}
	return false
}
