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
)

//go:embed assets libraries
var files embed.FS

// asset is a file that never changes: its name holds the digest of its content.
type asset struct {
	name       string // as the address ends
	kind       string
	plain      []byte
	compressed []byte // nil where that is no shorter
}

// kinds are the media types of what may be asked for.
var kinds = map[string]string{
	".css":   "text/css; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".svg":   "image/svg+xml",
	".txt":   "text/plain; charset=utf-8",
	".woff2": "font/woff2",
}

// assets are all of them, by the name they were given and by their address.
type assets struct {
	byName map[string]*asset
	byFile map[string]*asset
}

// loadAssets reads what is embedded, and makes the map's outline and the list
// of licences.
func loadAssets() (*assets, error) {
	a := &assets{byName: map[string]*asset{}, byFile: map[string]*asset{}}
	var styles []string // they name other assets, so they come last
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
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // a level that there is
	z.Write(content)                                      // a buffer takes everything
	z.Close()
	found := &asset{name: file, kind: kinds[ext], plain: content}
	if b.Len() < len(content)*9/10 {
		found.compressed = b.Bytes()
	}
	a.byName[name], a.byFile[file] = found, found
}

var named = regexp.MustCompile(`asset:[\w.-]+`)

// resolve puts addresses in a style sheet where it says asset:NAME.
func (a *assets) resolve(style []byte) []byte {
	return named.ReplaceAllFunc(style, func(name []byte) []byte {
		return []byte(a.url(strings.TrimPrefix(string(name), "asset:")))
	})
}

// url is the address of an asset. An asset that there is not is a mistake in a
// template.
func (a *assets) url(name string) string {
	found, ok := a.byName[name]
	if !ok {
		panic(fmt.Sprintf("page: no asset %q", name))
	}
	return AssetPrefix + found.name
}

// licencesOf is the text of every licence, each under the name of what it is
// for.
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

// find is the asset of an address, and whether it is exactly that one. While
// replicas are rolled out, a page of one version asks another for its assets:
// what has the same name is better than nothing.
func (a *assets) find(file string) (found *asset, exact bool) {
	if found = a.byFile[file]; found != nil {
		return found, true
	}
	ext := path.Ext(file)
	stem := strings.TrimSuffix(file, ext)
	return a.byName[strings.TrimSuffix(stem, path.Ext(stem))+ext], false
}

// serve answers with an asset, to be kept for ever.
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
		w.Write(body) // a visitor that went away needs no answer
	}
	return true
}
