// Command image makes a container image of the static binaries as an OCI archive,
// which containerd, podman, skopeo and recent versions of Docker can read. It needs
// no registry, no daemon and no root:
//
//	go -C hack run ./image -name localhost/downstream-node:dev
//
// With several flags -binaries, one for each architecture, it makes an image index.
//
// The image equals the last stage of the Dockerfile; a test compares them. The
// default paths are relative to hack/.
package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// options are the inputs and the name of an image.
type options struct {
	binaries     [][]string // of each architecture
	certificates string     // the file may be missing
	license      string
	name         string
	version      string
	output       string
}

func main() {
	var o options
	flag.Func("binaries", "static binaries of one architecture, separated by commas; once for each architecture (default ../bin/downstream-node,../bin/downstream-operator)", func(value string) error {
		o.binaries = append(o.binaries, strings.Split(value, ","))
		return nil
	})
	flag.StringVar(&o.certificates, "certificates", "/etc/ssl/certs/ca-certificates.crt", "certificate authorities for TLS to MySQL and Redis; left out if the file does not exist")
	flag.StringVar(&o.license, "license", "../LICENSE", "license file")
	flag.StringVar(&o.name, "name", "localhost/downstream-node:dev", "name of the image, with host and tag")
	flag.StringVar(&o.version, "version", "dev", "version in the label of the image")
	flag.StringVar(&o.output, "output", "../dist/image.tar", "archive to write")
	flag.Parse()
	if len(o.binaries) == 0 {
		o.binaries = [][]string{{"../bin/downstream-node", "../bin/downstream-operator"}}
	}
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	reference, err := name.NewTag(o.name, name.StrictValidation)
	if err != nil {
		return err
	}
	image, err := buildAll(o)
	if err != nil {
		return err
	}
	digest, err := image.Digest()
	if err != nil {
		return fmt.Errorf("digest the image: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(o.output), 0o777); err != nil {
		return err
	}
	file, err := os.Create(o.output)
	if err != nil {
		return err
	}
	if err := errors.Join(writeArchive(file, image, reference.Name()), file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", o.output, err)
	}
	fmt.Printf("%s: %s@%s\n", o.output, reference.Name(), digest)
	return nil
}

// These settings equal the settings of the Dockerfile's last stage.
const (
	user       = "65532:65532"
	entrypoint = "/downstream-node"
)

var ports = []string{"5000/tcp", "9090/tcp"}

// epoch is the timestamp of the image and of every file in it. It is fixed, so the
// same inputs make the same image.
var epoch = time.Unix(0, 0).UTC()

// buildAll makes the image, or an index of images if there are several architectures.
func buildAll(o options) (mutate.Appendable, error) {
	var images []mutate.IndexAddendum
	seen := map[string]bool{}
	for _, binaries := range o.binaries {
		image, architecture, err := build(o, binaries)
		if err != nil {
			return nil, err
		}
		if len(o.binaries) == 1 {
			return image, nil
		}
		if seen[architecture] {
			return nil, fmt.Errorf("two -binaries are for %s", architecture)
		}
		seen[architecture] = true
		images = append(images, mutate.IndexAddendum{
			Add:        image,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}},
		})
	}
	return mutate.AppendManifests(empty.Index, images...), nil
}

// build makes the image of one architecture, with a single layer.
func build(o options, binaries []string) (v1.Image, string, error) {
	var architecture string
	for i, binary := range binaries {
		a, err := staticArchitecture(binary)
		if err != nil {
			return nil, "", err
		}
		if i > 0 && a != architecture {
			return nil, "", fmt.Errorf("%s is for %s, but %s is for %s", binaries[0], architecture, binary, a)
		}
		architecture = a
	}
	layerBytes, err := layerOf(o, binaries)
	if err != nil {
		return nil, "", err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(layerBytes)), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, "", fmt.Errorf("make the layer: %w", err)
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if image, err = mutate.Append(image, mutate.Addendum{
		Layer:   layer,
		History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "hack/image"},
	}); err != nil {
		return nil, "", fmt.Errorf("add the layer: %w", err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, "", fmt.Errorf("read the image's configuration: %w", err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", architecture
	config.Created = v1.Time{Time: epoch}
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
	image, err = mutate.ConfigFile(image, config)
	return image, architecture, err
}

// layerOf returns the files of the layer as a tar file.
func layerOf(o options, binaries []string) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	made := map[string]bool{}
	type file struct {
		from, to string
		mode     int64
		optional bool
	}
	files := []file{{o.certificates, "etc/ssl/certs/ca-certificates.crt", 0o644, true}}
	for _, binary := range binaries {
		files = append(files, file{binary, filepath.Base(binary), 0o755, false})
	}
	files = append(files, file{o.license, "licenses/LICENSE", 0o644, false})
	for _, f := range files {
		content, err := os.ReadFile(f.from)
		if f.optional && errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintf(os.Stderr, "image: %s does not exist, so the image has no certificate authorities: TLS to MySQL and Redis needs certificates in the configuration\n", f.from)
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := addDirectories(w, path.Dir(f.to), made); err != nil {
			return nil, err
		}
		header := &tar.Header{Typeflag: tar.TypeReg, Name: f.to, Mode: f.mode, Size: int64(len(content)), ModTime: epoch, Format: tar.FormatUSTAR}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(content); err != nil {
			return nil, err
		}
	}
	return buf.Bytes(), w.Close()
}

// addDirectories writes dir and its parents, except for the directories in made.
func addDirectories(w *tar.Writer, dir string, made map[string]bool) error {
	if dir == "." || made[dir] {
		return nil
	}
	if err := addDirectories(w, path.Dir(dir), made); err != nil {
		return err
	}
	made[dir] = true
	return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, ModTime: epoch, Format: tar.FormatUSTAR})
}

// staticArchitecture returns Go's name of the binary's architecture. It refuses a
// dynamic binary, because the image has no loader.
func staticArchitecture(binary string) (string, error) {
	file, err := elf.Open(binary)
	if err != nil {
		return "", fmt.Errorf("%s is not a Linux binary: %w", binary, err)
	}
	defer file.Close()
	for _, program := range file.Progs {
		if program.Type == elf.PT_INTERP {
			return "", fmt.Errorf("%s is linked dynamically, but the image has no libraries; build it with CGO_ENABLED=0", binary)
		}
	}
	switch file.Machine {
	case elf.EM_X86_64:
		return "amd64", nil
	case elf.EM_AARCH64:
		return "arm64", nil
	}
	return "", fmt.Errorf("%s is for %s; images can be made only for x86-64 and ARM64", binary, file.Machine)
}

// These annotations hold the image's name. containerd reads the first annotation,
// and other tools read the second.
const (
	annotationImageName = "io.containerd.image.name"
	annotationRefName   = "org.opencontainers.image.ref.name"
)

// writeArchive writes the image or the index as a tar file of an OCI layout.
func writeArchive(w io.Writer, image mutate.Appendable, name string) error {
	dir, err := os.MkdirTemp("", "image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	index, err := layout.Write(dir, empty.Index)
	if err != nil {
		return fmt.Errorf("create the layout: %w", err)
	}
	names := layout.WithAnnotations(map[string]string{annotationImageName: name, annotationRefName: name})
	switch image := image.(type) {
	case v1.Image:
		err = index.AppendImage(image, names)
	case v1.ImageIndex:
		err = index.AppendIndex(image, names)
	}
	if err != nil {
		return fmt.Errorf("write the layout: %w", err)
	}
	return tarDirectory(w, os.DirFS(dir))
}

// tarDirectory writes the files of a directory in the order of their names, without
// owners and times.
func tarDirectory(w io.Writer, dir fs.FS) error {
	out := tar.NewWriter(w)
	if err := fs.WalkDir(dir, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(dir, path)
		if err != nil {
			return err
		}
		if err := out.WriteHeader(&tar.Header{
			Typeflag: tar.TypeReg, Name: path, Mode: 0o644, Size: int64(len(content)), ModTime: epoch, Format: tar.FormatUSTAR,
		}); err != nil {
			return err
		}
		_, err = out.Write(content)
		return err
	}); err != nil {
		return err
	}
	return out.Close()
}
