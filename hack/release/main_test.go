package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"sigs.k8s.io/yaml"
)

const version = "1.2.3-rc.1"

// makeRelease runs `make release` for this machine in a copy of the repository, and
// returns the directories with the programs and the release.
func makeRelease(t *testing.T, root string) (built, released string) {
	t.Helper()
	dist := t.TempDir()
	cmd := exec.Command("make", "-s", "release", "VERSION="+version, "DIST="+dist, "PLATFORMS="+runtime.GOOS+"/"+runtime.GOARCH)
	cmd.Dir = root
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "MAKE") && !strings.HasPrefix(entry, "MFLAGS") && !strings.HasPrefix(entry, "DOWNSTREAM_") {
			cmd.Env = append(cmd.Env, entry)
		}
	}
	// A copy without .git has no commit to take the time from.
	cmd.Env = append(cmd.Env, "SOURCE_DATE_EPOCH=1700000000")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make release: %v\n%s", err, out)
	}
	return filepath.Join(dist, "build"), filepath.Join(dist, "release")
}

// copyOfTree copies what git tracks, and new files, to another directory.
func copyOfTree(t *testing.T, root string) string {
	t.Helper()
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Fatalf("list the files of the repository: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "another", "place")
	for file := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		content, err := os.ReadFile(filepath.Join(root, file))
		if os.IsNotExist(err) {
			continue // deleted, but not committed
		}
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o700)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, file), content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestRelease makes a release for this machine, and another one from a copy of the
// repository at another place, with other modes and times and without git. Both must have
// the same bytes. The other parts of the test look into the first one.
func TestRelease(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("a release for this machine has no package and no image, because they are for Linux")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	built, first := makeRelease(t, root)
	base := "downstream-node_" + version + "_linux_" + runtime.GOARCH

	t.Run("is reproducible", func(t *testing.T) {
		t.Parallel()
		_, second := makeRelease(t, copyOfTree(t, root))
		one, two := contents(t, first), contents(t, second)
		for name := range one {
			if !bytes.Equal(one[name], two[name]) {
				t.Errorf("%s differs", name)
			}
		}
		if len(one) != len(two) {
			t.Errorf("%d files and %d files", len(one), len(two))
		}
	})
	t.Run("has every kind of file", func(t *testing.T) {
		t.Parallel()
		var got []string
		for name := range contents(t, first) {
			got = append(got, name)
		}
		slices.Sort(got)
		want := []string{
			"SHA256SUMS", "compose.yaml", "downstream-node_" + version + "_" + runtime.GOARCH + ".deb",
			"downstream-node_" + version + "_image.tar", base + ".cdx.json", base + ".tar.gz",
			"downstream.yaml", "kubectl-downstream_linux_" + runtime.GOARCH + ".tar.gz",
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		check := exec.Command("sha256sum", "--check", "--strict", sumsFile)
		check.Dir = first
		if out, err := check.CombinedOutput(); err != nil || strings.Count(string(out), ": OK") != len(want)-1 {
			t.Errorf("sha256sum: %v\n%s", err, out)
		}
	})
	t.Run("has an archive with programs, manual and completions", func(t *testing.T) {
		t.Parallel()
		files := unpacked(t, contents(t, first)[base+".tar.gz"])
		for name, text := range map[string]string{
			"man/downstream-node-chunks-list.1":  "downstream-node-chunks-list",
			"man/downstream-operator.1":          `"Nov 2023"`, // the time that makeRelease sets
			"completions/downstream-node.bash":   "__start_downstream-node",
			"completions/kubectl-downstream.zsh": "#compdef",
			"LICENSE":                            "Copyright",
			"systemd/downstream-node.service":    "[Service]",
		} {
			if !bytes.Contains(files[base+"/"+name], []byte(text)) {
				t.Errorf("%s does not contain %q: %.300s", name, text, files[base+"/"+name])
			}
		}
		for _, program := range []string{"downstream-node", "downstream-operator", "kubectl-downstream"} {
			want, err := os.ReadFile(filepath.Join(built, "linux", runtime.GOARCH, program))
			if err != nil || !bytes.Equal(files[base+"/"+program], want) {
				t.Errorf("the archive has another %s than the one that was built: %v", program, err)
			}
			out, err := exec.Command(filepath.Join(built, "linux", runtime.GOARCH, program), "version").Output()
			if err != nil || !strings.HasPrefix(string(out), program+" "+version+" ") {
				t.Errorf("%s says that it is %q, %v", program, out, err)
			}
		}
	})
	t.Run("has an SBOM", func(t *testing.T) {
		t.Parallel()
		checkSBOM(t, contents(t, first)[base+".cdx.json"], filepath.Join(built, "linux", runtime.GOARCH))
	})
	t.Run("has a compose file for its own image", func(t *testing.T) {
		t.Parallel()
		checkCompose(t, contents(t, first)["compose.yaml"], filepath.Join(built, "linux", runtime.GOARCH, name))
	})
	t.Run("has a Debian package", func(t *testing.T) {
		t.Parallel()
		checkDebian(t, filepath.Join(first, "downstream-node_"+version+"_"+runtime.GOARCH+".deb"))
	})
}

// contents reads the files of a directory.
func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			all[name], err = os.ReadFile(filepath.Join(dir, name))
		}
		return err
	})
	if err != nil || len(all) == 0 {
		t.Fatalf("%d files in %s: %v", len(all), dir, err)
	}
	return all
}

// unpacked returns the files of a .tar.gz.
func unpacked(t *testing.T, packed []byte) map[string][]byte {
	t.Helper()
	plain, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for r := tar.NewReader(plain); ; {
		header, err := r.Next()
		if err == io.EOF {
			return files
		}
		if err == nil {
			files[header.Name], err = io.ReadAll(r)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// checkSBOM compares an SBOM with what the go command says of the programs in dir.
func checkSBOM(t *testing.T, text []byte, dir string) {
	t.Helper()
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(text), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	components := map[string]cdx.Component{}
	for _, c := range *bom.Components {
		if _, twice := components[c.BOMRef]; twice {
			t.Errorf("%s is listed twice", c.BOMRef)
		}
		components[c.BOMRef] = c
	}
	of := map[string][]string{}
	for _, d := range *bom.Dependencies {
		of[d.Ref] = *d.Dependencies
		for _, ref := range *d.Dependencies {
			if _, ok := components[ref]; !ok {
				t.Errorf("%s depends on %s, which is not listed", d.Ref, ref)
			}
		}
	}
	module := "pkg:golang/github.com/driveshare/downstream-node@v" + version
	if programs := of[module]; len(programs) != 3 || bom.Metadata.Component.BOMRef != module {
		t.Errorf("the release %s has the programs %v", bom.Metadata.Component.BOMRef, programs)
	}
	for _, program := range []string{"downstream-node", "downstream-operator", "kubectl-downstream"} {
		out, err := exec.Command("go", "version", "-m", filepath.Join(dir, program)).Output()
		if err != nil {
			t.Fatal(err)
		}
		refs, found := of[module+"#cmd/"+program], 0
		for line := range strings.Lines(string(out)) {
			if fields := strings.Fields(line); len(fields) >= 3 && fields[0] == "dep" {
				found++
				if !slices.Contains(refs, purl(fields[1], fields[2])) {
					t.Errorf("%s: the SBOM lacks %s %s", program, fields[1], fields[2])
				}
			}
		}
		stdlib := purl("stdlib", strings.TrimPrefix(runtime.Version(), "go"))
		if found < 20 || len(refs) != found+1 || !slices.Contains(refs, stdlib) {
			t.Errorf("%s has %d modules, and the SBOM lists %d with %s", program, found, len(refs), stdlib)
		}
	}
}

// checkCompose checks that compose.yaml starts this release, and that the program knows
// every setting in it.
func checkCompose(t *testing.T, text []byte, program string) {
	t.Helper()
	// Without variables, compose uses the defaults in the file. Only the password has none.
	expand := func(text string) string {
		return os.Expand(text, func(variable string) string {
			_, value, given := strings.Cut(variable, ":-")
			if !given {
				value = "password"
			}
			return value
		})
	}
	var file struct {
		Services map[string]struct {
			Image       string
			Command     []string
			Environment map[string]string
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, service := range []string{"api", "worker", "migrate"} {
		s := file.Services[service]
		if expand(s.Image) != "ghcr.io/driveshare/downstream-node:"+version {
			t.Errorf("%s uses the image %q", service, s.Image)
		}
		help := exec.Command(program, append(slices.Clone(s.Command), "--help")...)
		if out, err := help.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %v\n%s", service, s.Command, err, out)
		}
		config := exec.Command(program, "config")
		for key, value := range s.Environment {
			config.Env = append(config.Env, key+"="+expand(value))
		}
		var warnings bytes.Buffer
		config.Stderr = &warnings
		out, err := config.Output()
		if err != nil || warnings.Len() > 0 || !bytes.Contains(out, []byte("mariadb:3306")) || !bytes.Contains(out, []byte("redis:6379")) {
			t.Errorf("%s: %v\n%s\n%s", service, err, warnings.String(), out)
		}
	}
	if len(file.Services) != 5 {
		t.Errorf("%d services, want 5", len(file.Services))
	}
}

// checkDebian unpacks a package with dpkg, and has systemd check its units.
func checkDebian(t *testing.T, file string) {
	t.Helper()
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("dpkg-deb is not installed")
	}
	fields, err := exec.Command("dpkg-deb", "--field", file, "Package", "Version", "Architecture").CombinedOutput()
	if want := "Package: downstream-node\nVersion: 1.2.3~rc.1\nArchitecture: " + runtime.GOARCH + "\n"; err != nil || string(fields) != want {
		t.Errorf("%v: %q, want %q", err, fields, want)
	}
	root := t.TempDir()
	if out, err := exec.Command("dpkg-deb", "--extract", file, root).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{
		"etc/downstream-node/standalone.yaml", "usr/share/man/man1/downstream-node.1.gz", "usr/share/bash-completion/completions/downstream-node",
		"usr/share/doc/downstream-node/copyright", "usr/lib/sysusers.d/downstream-node.conf",
	} {
		if info, err := os.Stat(filepath.Join(root, name)); err != nil || info.Size() == 0 || info.Mode().Perm() != 0o644 {
			t.Errorf("%s: %v", name, err)
		}
	}
	program := filepath.Join(root, "usr/bin/downstream-node")
	for _, config := range [][]string{{"etc/downstream-node/standalone.yaml", "--standalone"}, {"usr/share/doc/downstream-node/examples/node.yaml"}} {
		cmd := exec.Command(program, append([]string{"config", "--config", filepath.Join(root, config[0])}, config[1:]...)...)
		cmd.Env = []string{}
		out, err := cmd.CombinedOutput()
		// The example names a file with the data source name, which does not exist here.
		if missing := strings.Contains(string(out), "/etc/downstream-node/dsn"); err != nil && !missing {
			t.Errorf("%s: %v\n%s", config[0], err, out)
		}
	}
	units, err := filepath.Glob(filepath.Join(root, "usr/lib/systemd/system/*.service"))
	if err != nil || len(units) != 3 {
		t.Fatalf("%d units, %v", len(units), err)
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	for _, target := range []string{"sysinit", "basic", "shutdown"} { // that every unit depends on
		unit := []byte("[Unit]\nDescription=" + target + "\n")
		if err := os.WriteFile(filepath.Join(root, "usr/lib/systemd/system", target+".target"), unit, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i, unit := range units {
		units[i] = strings.Replace(path.Base(unit), "@.", "@1.", 1)
	}
	verify := exec.Command("systemd-analyze", append([]string{"verify", "--man=no", "--root=" + root}, units...)...)
	if out, err := verify.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{"2d85248-dirty": "write make release VERSION=1.2.3", "1.2.3": "has no programs for this machine"} {
		err := run(options{binaries: t.TempDir(), root: "../..", version: version, output: t.TempDir()})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want %q, got %v", version, want, err)
		}
	}
}
