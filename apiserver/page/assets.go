package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed assets libraries
var files embed.FS

// asset is a file that never changes, because its name holds a digest of its
// content.
type asset struct {
	name       string // the end of its URL
	kind       string
	plain      []byte
	compressed []byte // nil if gzip saves less than a tenth
}

// kinds are the media types of assets by file extension.
var kinds = map[string]string{
	".css":   "text/css; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".svg":   "image/svg+xml",
	".txt":   "text/plain; charset=utf-8",
	".woff2": "font/woff2",
}

// assets are all assets by their source name and by the name in their URL.
type assets struct {
	byName map[string]*asset
	byFile map[string]*asset
}

// loadAssets reads the embedded files, and makes the map's outline and the list
// of licences.
func loadAssets() (*assets, error) {
	a := &assets{byName: map[string]*asset{}, byFile: map[string]*asset{}}
	var styles []string // loaded last: they name other assets
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || kinds[path.Ext(name)] == "" {
			return err
		}
		if path.Ext(name) == ".css" {
			styles = append(styles, name)
			return nil
		}
		content, err := files.ReadFile(name)
		a.add(path.Base(name), content)
		return err
	})
	if err != nil {
		return nil, err
	}
	world, err := files.ReadFile("libraries/world-atlas/countries-110m.json")
	if err != nil {
		return nil, err
	}
	outline, err := outlineOf(world)
	if err != nil {
		return nil, err
	}
	a.add("world.svg", outline)
	licences, err := licencesOf(files)
	if err != nil {
		return nil, err
	}
	a.add("licences.txt", licences)
	for _, name := range styles {
		content, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		a.add(path.Base(name), a.resolve(content))
	}
	return a, nil
}

func (a *assets) add(name string, content []byte) {
	sum := sha256.Sum256(content)
	ext := path.Ext(name)
	file := strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:6]) + ext
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // fails only for an invalid level
	z.Write(content)                                      // a bytes.Buffer returns no error
	z.Close()
	found := &asset{name: file, kind: kinds[ext], plain: content}
	if b.Len() < len(content)*9/10 {
		found.compressed = b.Bytes()
	}
	a.byName[name], a.byFile[file] = found, found
}

var named = regexp.MustCompile(`asset:[\w.-]+`)

// resolve replaces asset:NAME in a style sheet by the asset's URL.
func (a *assets) resolve(style []byte) []byte {
	return named.ReplaceAllFunc(style, func(name []byte) []byte {
		return []byte(a.url(strings.TrimPrefix(string(name), "asset:")))
	})
}

// url returns the URL of an asset. It panics for an unknown name, which is a
// mistake in a template.
func (a *assets) url(name string) string {
	found, ok := a.byName[name]
	if !ok {
		panic(fmt.Sprintf("page: no asset %q", name))
	}
	return AssetPrefix + found.name
}

// licencesOf joins the licences of all libraries, each under the library's name.
func licencesOf(files fs.FS) ([]byte, error) {
	names, err := fs.Glob(files, "libraries/*/LICENSE")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("This page uses the work of others, under these licences.\n")
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		title := path.Base(path.Dir(name))
		fmt.Fprintf(&b, "\n\n%s\n%s\n\n%s", title, strings.Repeat("=", len(title)), text)
	}
	return b.Bytes(), nil
}

// find returns the asset for a file name, and whether its digest matches. During
// a rollout, a page of one version requests assets from a replica of another;
// find then returns the asset of the same source name.
func (a *assets) find(file string) (found *asset, exact bool) {
	if found = a.byFile[file]; found != nil {
		return found, true
	}
	ext := path.Ext(file)
	stem := strings.TrimSuffix(file, ext)
	return a.byName[strings.TrimSuffix(stem, path.Ext(stem))+ext], false
}

// serve sends an asset. Browsers may cache it without end if its digest matches.
func (a *assets) serve(w http.ResponseWriter, r *http.Request) bool {
	found, exact := a.find(r.PathValue("file"))
	if found == nil {
		return false
	}
	h := w.Header()
	secure(h)
	h.Set("Content-Type", found.kind)
	h.Set("Cache-Control", "no-cache")
	if exact {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	h.Set("Vary", "Accept-Encoding")
	body := found.plain
	if found.compressed != nil && acceptsGzip(r) {
		body = found.compressed
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		w.Write(body) // an error means that the visitor has disconnected
	}
	return true
}

// policy allows only content of this host, and no inline scripts or styles.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; " +
	"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func secure(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("X-Frame-Options", "DENY") // for browsers without frame-ancestors
}

// compressFrom is the length in bytes from which compression pays.
const compressFrom = 512

var compressors = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, 4) // fails only for an invalid level
	return w
}}

// send sends a response that may change, or 304 if the visitor has this version.
func (p *Page) send(w http.ResponseWriter, r *http.Request, status int, kind string, body []byte, began time.Time) {
	h := w.Header()
	secure(h)
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "Accept-Encoding")
	h.Set("Server-Timing", "page;dur="+strconv.FormatFloat(float64(p.opt.Now().Sub(began).Microseconds())/1000, 'f', 2, 64))
	sum := sha256.Sum256(body)
	// The tag is weak, because the compressed body has the same tag.
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
		w.Write(body) // an error means that the visitor has disconnected
	}
}

func compressed(body []byte) []byte {
	var b bytes.Buffer
	z := compressors.Get().(*gzip.Writer)
	defer compressors.Put(z)
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
