package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/krew/pkg/index"
	"sigs.k8s.io/yaml"
)

// given returns the inputs of a release, with a small file in place of each binary.
func given(t *testing.T) options {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{"LICENSE": "Do as you like.\n"}
	for _, platform := range []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"} {
		name := platform + "/" + binaryName
		if strings.HasPrefix(platform, "windows/") {
			name += ".exe"
		}
		files["plugin/"+name] = "the program for " + platform
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return options{
		binaries: filepath.Join(dir, "plugin"),
		license:  filepath.Join(dir, "LICENSE"),
		version:  "1.2.3",
		uri:      "https://example.org/{{.Version}}/{{.Archive}}",
		output:   filepath.Join(dir, "krew"),
	}
}

// buildKrew returns a directory with krew, its checker of manifests, and a kubectl that
// only starts krew. The checker installs a plugin with "kubectl krew install".
func buildKrew(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", dir+"/", "sigs.k8s.io/krew/cmd/krew", "sigs.k8s.io/krew/cmd/validate-krew-manifest")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	script := "#!/bin/sh\nshift\nexec " + filepath.Join(dir, "krew") + " \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "kubectl"), []byte(script), 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestKrewInstallsThePlugin has krew check the manifest and install the plugin for every
// platform, and then changes the manifest so that krew must refuse it.
func TestKrewInstallsThePlugin(t *testing.T) {
	t.Parallel()
	o := given(t)
	server := httptest.NewServer(http.StripPrefix("/v1.2.3/", http.FileServer(http.Dir(o.output))))
	t.Cleanup(server.Close)
	o.uri = server.URL + "/{{.Version}}/{{.Archive}}"
	if err := run(o); err != nil {
		t.Fatal(err)
	}
	tools := buildKrew(t)
	path := filepath.Join(o.output, "downstream.yaml")
	if out, err := validate(tools, path); err != nil || !strings.Contains(out, "all 6 spec.platforms installed fine") {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, tt := range map[string]struct {
		change func(*index.Plugin)
		want   string
	}{
		"wrong checksum":          {func(p *index.Plugin) { p.Spec.Platforms[0].Sha256 = strings.Repeat("0", 64) }, "checksum"},
		"binary that is missing":  {func(p *index.Plugin) { p.Spec.Platforms[0].Bin = "downstream" }, "downstream"},
		"version without v":       {func(p *index.Plugin) { p.Spec.Version = "1.2.3" }, "version"},
		"two of one platform":     {func(p *index.Plugin) { p.Spec.Platforms[0].Selector = p.Spec.Platforms[1].Selector }, "overlapping"},
		"archive without licence": {func(p *index.Plugin) { p.Spec.Platforms[0].Files = p.Spec.Platforms[0].Files[:1] }, "license"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var p index.Plugin
			if err := yaml.UnmarshalStrict(text, &p); err != nil {
				t.Fatal(err)
			}
			tt.change(&p)
			if text, err = yaml.Marshal(p); err != nil {
				t.Fatal(err)
			}
			changed := filepath.Join(t.TempDir(), "downstream.yaml")
			if err := os.WriteFile(changed, text, 0o666); err != nil {
				t.Fatal(err)
			}
			if out, err := validate(tools, changed); err == nil || !strings.Contains(out, tt.want) {
				t.Errorf("want %q, got %v\n%s", tt.want, err, out)
			}
		})
	}
}

// validate runs krew's checker.
func validate(tools, manifest string) (string, error) {
	cmd := exec.Command(filepath.Join(tools, "validate-krew-manifest"), "-manifest", manifest)
	cmd.Env = []string{"PATH=" + tools + string(os.PathListSeparator) + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestArchivesAreReproducible(t *testing.T) {
	t.Parallel()
	o := given(t)
	again := o
	again.output += "-again"
	if err := run(o); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(o.binaries, "linux/amd64", binaryName), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := run(again); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(o.output)
	if err != nil || len(entries) != 7 {
		t.Fatalf("%d files, want 6 archives and the manifest: %v", len(entries), err)
	}
	for _, entry := range entries {
		first, err := os.ReadFile(filepath.Join(o.output, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if second, err := os.ReadFile(filepath.Join(again.output, entry.Name())); err != nil || !bytes.Equal(first, second) {
			t.Errorf("two files %s of the same inputs differ: %v", entry.Name(), err)
		}
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*options)
		want   string
	}{
		"commit as version":        {func(o *options) { o.version = "2d85248-dirty" }, "write make krew VERSION=1.2.3"},
		"version with two numbers": {func(o *options) { o.version = "1.2" }, "write make krew VERSION=1.2.3"},
		"no binaries":              {func(o *options) { o.binaries = t.TempDir() }, "has no binary"},
		"template of a URI":        {func(o *options) { o.uri = "https://example.org/{{.Tag}}" }, "Tag"},
		"no licence":               {func(o *options) { o.license += ".missing" }, "LICENSE.missing"},
	} {
		o := given(t)
		tt.change(&o)
		if err := run(o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: want %q, got %v", name, tt.want, err)
		}
	}
}
