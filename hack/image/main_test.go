package main

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// given returns the inputs of an image, with two small static binaries.
func given(t *testing.T) options {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the test builds a binary for this system, but images need a Linux binary")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":  "module hello\n\ngo 1.26\n",
		"main.go": "package main\n\nfunc main() {}\n",
		"LICENSE": "Do as you like.\n",
		"ca.crt":  "no certificate\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	buildFor(t, dir, runtime.GOARCH)
	node, operator := filepath.Join(dir, "downstream-node"), filepath.Join(dir, "downstream-operator")
	if err := os.Link(node, operator); err != nil {
		t.Fatal(err)
	}
	return options{
		binaries:     [][]string{{node, operator}},
		certificates: filepath.Join(dir, "ca.crt"),
		license:      filepath.Join(dir, "LICENSE"),
		name:         "localhost/hello:test",
		version:      "1.2.3",
		output:       filepath.Join(dir, "out", "image.tar"),
	}
}

// buildFor builds the program in dir for an architecture, and returns its path.
func buildFor(t *testing.T, dir, architecture string) string {
	t.Helper()
	build := exec.Command("go", "build", "-o", "downstream-node", ".")
	build.Dir, build.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOARCH="+architecture)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(dir, "downstream-node")
}

// other is another architecture than this machine's.
func other() string {
	if runtime.GOARCH == "arm64" {
		return "amd64"
	}
	return "arm64"
}

func TestIndexOfArchitectures(t *testing.T) {
	t.Parallel()
	o, second := given(t), given(t)
	o.binaries = append(o.binaries, []string{buildFor(t, filepath.Dir(second.license), other())})
	if err := run(o); err != nil {
		t.Fatal(err)
	}
	only, archive := unpackIndex(t, o.output)
	index, err := archive.ImageIndex(only.Digest)
	if err != nil {
		t.Fatal(err)
	}
	images, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range images.Manifests {
		image, err := index.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if config.Architecture != m.Platform.Architecture {
			t.Errorf("the index says %s of an image for %s", m.Platform.Architecture, config.Architecture)
		}
		got = append(got, m.Platform.OS+"/"+config.Architecture)
	}
	if want := []string{"linux/" + runtime.GOARCH, "linux/" + other()}; !slices.Equal(got, want) {
		t.Errorf("images for %v, want %v", got, want)
	}
}

// unpackIndex reads an archive and returns the descriptor of its only entry.
func unpackIndex(t *testing.T, archive string) (v1.Descriptor, v1.ImageIndex) {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("tar", "-xf", archive, "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 {
		t.Fatalf("%d entries", len(manifest.Manifests))
	}
	only := manifest.Manifests[0]
	if a := only.Annotations; a[annotationImageName] != a[annotationRefName] {
		t.Errorf("the annotations have two names: %v", a)
	}
	return only, index
}

// unpack reads an archive and returns its only image and name.
func unpack(t *testing.T, archive string) (v1.Image, string) {
	t.Helper()
	only, index := unpackIndex(t, archive)
	image, err := index.Image(only.Digest)
	if err != nil {
		t.Fatal(err)
	}
	return image, only.Annotations[annotationImageName]
}

func TestArchive(t *testing.T) {
	t.Parallel()
	o := given(t)
	if err := run(o); err != nil {
		t.Fatal(err)
	}
	image, name := unpack(t, o.output)
	if name != o.name {
		t.Errorf("the name is %s, want %s", name, o.name)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if c := config.Config; c.User != user || !slices.Equal(c.Entrypoint, []string{entrypoint}) || config.Architecture != runtime.GOARCH {
		t.Errorf("%+v", config)
	}
	contents := mutate.Extract(image)
	defer contents.Close()
	var files []string
	for r := tar.NewReader(contents); ; {
		header, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, header.FileInfo().Mode().String()+" "+header.Name)
	}
	slices.Sort(files)
	want := []string{
		"-rw-r--r-- etc/ssl/certs/ca-certificates.crt", "-rw-r--r-- licenses/LICENSE", "-rwxr-xr-x downstream-node", "-rwxr-xr-x downstream-operator",
		"drwxr-xr-x etc", "drwxr-xr-x etc/ssl", "drwxr-xr-x etc/ssl/certs", "drwxr-xr-x licenses",
	}
	if !slices.Equal(files, want) {
		t.Errorf("files\n%s\nwant\n%s", strings.Join(files, "\n"), strings.Join(want, "\n"))
	}
}

func TestArchiveIsReproducible(t *testing.T) {
	t.Parallel()
	o := given(t)
	if err := run(o); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(o.output)
	if err != nil {
		t.Fatal(err)
	}
	o.output += ".again"
	if err := os.Chmod(o.license, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(o); err != nil {
		t.Fatal(err)
	}
	if second, err := os.ReadFile(o.output); err != nil || !bytes.Equal(first, second) {
		t.Errorf("two archives of the same inputs differ: %v", err)
	}
}

func TestArchiveWithoutCertificates(t *testing.T) {
	t.Parallel()
	o := given(t)
	o.certificates += ".missing"
	if err := run(o); err != nil {
		t.Fatal(err)
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	o := given(t)
	dynamic := o
	dynamic.binaries = [][]string{{o.binaries[0][0], "/bin/sh"}}
	text := o
	text.binaries = [][]string{{o.license}}
	twice := o
	twice.binaries = append(twice.binaries, o.binaries[0])
	unnamed := o
	unnamed.name = "hello"
	for want, o := range map[string]options{
		"linked dynamically": dynamic,
		"not a Linux binary": text,
		"tag must be":        unnamed,
		"two -binaries are":  twice,
	} {
		if err := run(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// TestDockerfileMakesTheSameImage compares the image with the Dockerfile's last
// stage.
func TestDockerfileMakesTheSameImage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, last, ok := strings.Cut(string(text), "\nFROM scratch\n")
	if !ok {
		t.Fatal("the Dockerfile has no stage from scratch")
	}
	var expose []string
	for _, port := range ports {
		expose = append(expose, strings.TrimSuffix(port, "/tcp"))
	}
	want := []string{
		"COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/",
		"COPY --from=build /out/ /",
		"COPY LICENSE /licenses/LICENSE",
		"USER " + user,
		"EXPOSE " + strings.Join(expose, " "),
		`ENTRYPOINT ["` + entrypoint + `"]`,
	}
	if got := strings.Split(strings.TrimSpace(last), "\n"); !slices.Equal(got, want) {
		t.Errorf("the Dockerfile's last stage is\n%s\nand hack/image makes\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
