package page

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed assets libraries
var files embed.FS

// asset is a file that the page embeds. Its URL contains a digest of its content, so
// the content of a URL never changes.
type asset struct {
	name       string // the last part of its URL, with the digest
	kind       string
	plain      []byte
	compressed []byte // nil if gzip saves less than a tenth
}

// kinds maps a file extension to the media type of the asset.
var kinds = map[string]string{
	".css":   "text/css; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".svg":   "image/svg+xml",
	".txt":   "text/plain; charset=utf-8",
	".woff2": "font/woff2",
}

// assets holds all assets.
type assets struct {
	byName map[string]*asset // by source name, such as page.css
	byFile map[string]*asset // by the name in the URL, such as page.0123456789ab.css
}

// loadAssets reads the embedded files, and makes the map's outline and the list
// of licences. It does this once, and all Pages share the result. It panics if an
// embedded file is invalid.
var loadAssets = sync.OnceValue(func() *assets {
	a := &assets{byName: map[string]*asset{}, byFile: map[string]*asset{}}
	outline, err := outlineOf(embedded("libraries/world-atlas/countries-110m.json"))
	if err != nil {
		panic(err)
	}
	a.add("world.svg", outline)
	a.add("licences.txt", licences())
	names := append(embeddedNames("assets/*"), embeddedNames("libraries/*/*")...)
	isStyle := func(name string) bool { return path.Ext(name) == ".css" }
	for _, name := range slices.DeleteFunc(slices.Clone(names), isStyle) {
		a.add(path.Base(name), embedded(name))
	}
	for _, name := range names {
		if isStyle(name) { // a style sheet contains URLs of the other assets, so it is added last
			a.add(path.Base(name), named.ReplaceAllFunc(embedded(name), func(name []byte) []byte {
				return []byte(a.url(strings.TrimPrefix(string(name), "asset:")))
			}))
		}
	}
	return a
})

// named matches a reference to an asset in a style sheet.
var named = regexp.MustCompile(`asset:[\w.-]+`)

func embedded(name string) []byte {
	content, err := files.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return content
}

func embeddedNames(pattern string) []string {
	names, err := fs.Glob(files, pattern)
	if err != nil {
		panic(err)
	}
	return names
}

// licences joins the licences of all libraries, each under the library's name.
func licences() []byte {
	var b bytes.Buffer
	b.WriteString("This page uses the work of others, under these licences.\n")
	for _, name := range embeddedNames("libraries/*/LICENSE") {
		title := path.Base(path.Dir(name))
		fmt.Fprintf(&b, "\n\n%s\n%s\n\n%s", title, strings.Repeat("=", len(title)), embedded(name))
	}
	return b.Bytes()
}

// add adds a file. It ignores a file if kinds does not have its extension.
func (a *assets) add(name string, content []byte) {
	ext := path.Ext(name)
	if kinds[ext] == "" {
		return
	}
	sum := sha256.Sum256(content)
	found := &asset{name: strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:6]) + ext, kind: kinds[ext], plain: content}
	z, _ := gzip.NewWriterLevel(nil, gzip.BestCompression) // fails only for an invalid level
	if compressed := compress(z, content); len(compressed) < len(content)*9/10 {
		found.compressed = compressed
	}
	a.byName[name], a.byFile[found.name] = found, found
}

// url returns the URL of an asset. It panics if no asset has the name, because then
// a template or a style sheet is wrong.
func (a *assets) url(name string) string {
	found, ok := a.byName[name]
	if !ok {
		panic(fmt.Sprintf("page: no asset %q", name))
	}
	return AssetPrefix + found.name
}

// find returns the asset for a file name in a URL, and whether the digest matches.
// During a rollout, a page from one version can request its assets from a replica
// of another version. Then find returns the asset with the same source name.
func (a *assets) find(file string) (found *asset, exact bool) {
	if found = a.byFile[file]; found != nil {
		return found, true
	}
	ext := path.Ext(file)
	stem := strings.TrimSuffix(file, ext)
	return a.byName[strings.TrimSuffix(stem, path.Ext(stem))+ext], false
}

// serve sends an asset, or returns false if there is no such asset. If the digest
// matches, browsers may cache the asset for a year.
func (a *assets) serve(w http.ResponseWriter, r *http.Request) bool {
	found, exact := a.find(r.PathValue("file"))
	if found == nil {
		return false
	}
	cacheControl := "no-cache"
	if exact {
		cacheControl = "public, max-age=31536000, immutable"
	}
	setHeaders(w, found.kind, cacheControl)
	body := found.plain
	if found.compressed != nil && acceptsGzip(r) {
		body = found.compressed
		w.Header().Set("Content-Encoding", "gzip")
	}
	write(w, r, http.StatusOK, body)
	return true
}

// policy allows only content from this host. It forbids inline scripts and styles.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; " +
	"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// sameOrigin forbids pages of other sites to embed a response.
const sameOrigin = "same-origin"

func setHeaders(w http.ResponseWriter, kind, cacheControl string) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", sameOrigin)
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("X-Frame-Options", "DENY") // for browsers that do not support frame-ancestors
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", cacheControl)
	h.Set("Vary", "Accept-Encoding")
}

// compressFrom is the length in bytes of the shortest body that is compressed.
const compressFrom = 512

var compressors = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, 4) // fails only for an invalid level
	return w
}}

// send sends a response that is not an asset. If the visitor's browser already has
// this version, it sends 304 without a body. Browsers may cache it only as long as a
// Cache-Control that is set already allows.
//
// resources says which sites may embed the response.
func (p *Page) send(w http.ResponseWriter, r *http.Request, status int, kind string, body []byte, began time.Time, resources string) {
	h := w.Header()
	setHeaders(w, kind, cmp.Or(h.Get("Cache-Control"), "no-cache"))
	h.Set("Cross-Origin-Resource-Policy", resources)
	milliseconds := float64(p.opt.Now().Sub(began).Microseconds()) / 1000
	h.Set("Server-Timing", "page;dur="+strconv.FormatFloat(milliseconds, 'f', 2, 64))
	sum := sha256.Sum256(body)
	// The ETag is weak, because the plain and the compressed body have the same ETag.
	tag := `W/"` + hex.EncodeToString(sum[:8]) + `"`
	h.Set("ETag", tag)
	if status == http.StatusOK && strings.Contains(r.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if len(body) >= compressFrom && acceptsGzip(r) {
		z := compressors.Get().(*gzip.Writer)
		defer compressors.Put(z)
		body = compress(z, body)
		h.Set("Content-Encoding", "gzip")
	}
	write(w, r, status, body)
}

func write(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(body) // an error means that the visitor has disconnected
	}
}

func compress(z *gzip.Writer, body []byte) []byte {
	var b bytes.Buffer
	z.Reset(&b)
	z.Write(body) // a bytes.Buffer returns no error
	z.Close()
	return b.Bytes()
}

// acceptsGzip reports whether Accept-Encoding names gzip with a weight above 0.
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
