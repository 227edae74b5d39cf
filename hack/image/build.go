package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// What the Dockerfile's last stage says.
const (
	user       = "65532:65532"
	entrypoint = "/downstream-node"
)

var ports = []string{"5000/tcp", "9090/tcp"}

// then is the time of everything in the image, for an image that tells when it
// was made is another one each time.
var then = time.Unix(0, 0).UTC()

// build makes the image, a single layer.
func build(o options) (v1.Image, error) {
	var architecture string
	for i, binary := range o.binaries {
		a, err := staticArchitecture(binary)
		if err != nil {
			return nil, err
		}
		if i > 0 && a != architecture {
			return nil, fmt.Errorf("%s is for %s, and %s for %s", o.binaries[0], architecture, binary, a)
		}
		architecture = a
	}
	layerBytes, err := layerOf(o)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(layerBytes)), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, fmt.Errorf("make the layer: %w", err)
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if image, err = mutate.Append(image, mutate.Addendum{
		Layer:   layer,
		History: v1.History{Created: v1.Time{Time: then}, CreatedBy: "hack/image"},
	}); err != nil {
		return nil, fmt.Errorf("add the layer: %w", err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read the image's configuration: %w", err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", architecture
	config.Created = v1.Time{Time: then}
	config.Config = v1.Config{
		User:         user,
		Entrypoint:   []string{entrypoint},
		ExposedPorts: map[string]struct{}{},
		Labels: map[string]string{
			"org.opencontainers.image.title":   "downstream-node",
			"org.opencontainers.image.version": o.version,
		},
	}
	for _, port := range ports {
		config.Config.ExposedPorts[port] = struct{}{}
	}
	return mutate.ConfigFile(image, config)
}

// layerOf is the layer's files, as a tar.
func layerOf(o options) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	made := map[string]bool{}
	type file struct {
		from, to string
		mode     int64
		optional bool
	}
	files := []file{{o.certificates, "etc/ssl/certs/ca-certificates.crt", 0o644, true}}
	for _, binary := range o.binaries {
		files = append(files, file{binary, filepath.Base(binary), 0o755, false})
	}
	files = append(files, file{o.license, "licenses/LICENSE", 0o644, false})
	for _, f := range files {
		content, err := os.ReadFile(f.from)
		if f.optional && errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintf(os.Stderr, "image: there is no %s: TLS to MySQL and Redis will know no authority but those that the configuration names\n", f.from)
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := addFolders(w, path.Dir(f.to), made); err != nil {
			return nil, err
		}
		header := &tar.Header{Typeflag: tar.TypeReg, Name: f.to, Mode: f.mode, Size: int64(len(content)), ModTime: then, Format: tar.FormatUSTAR}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(content); err != nil {
			return nil, err
		}
	}
	return buf.Bytes(), w.Close()
}

// addFolders writes dir and those above it that made does not have yet.
func addFolders(w *tar.Writer, dir string, made map[string]bool) error {
	if dir == "." || made[dir] {
		return nil
	}
	if err := addFolders(w, path.Dir(dir), made); err != nil {
		return err
	}
	made[dir] = true
	return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, ModTime: then, Format: tar.FormatUSTAR})
}

// staticArchitecture is Go's name for what the binary runs on. A binary that
// needs a loader is refused, for the image has none.
func staticArchitecture(binary string) (string, error) {
	file, err := elf.Open(binary)
	if err != nil {
		return "", fmt.Errorf("%s is no Linux binary: %w", binary, err)
	}
	defer file.Close()
	for _, program := range file.Progs {
		if program.Type == elf.PT_INTERP {
			return "", fmt.Errorf("%s is linked dynamically, and the image holds no libraries: build it with CGO_ENABLED=0", binary)
		}
	}
	switch file.Machine {
	case elf.EM_X86_64:
		return "amd64", nil
	case elf.EM_AARCH64:
		return "arm64", nil
	}
	return "", fmt.Errorf("%s is for %s, and images are made for x86-64 and ARM64", binary, file.Machine)
}
