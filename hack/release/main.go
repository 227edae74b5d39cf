// Command release makes what a release offers from the programs of each platform:
//
//   - an archive for each platform, with the programs, manual pages and completions,
//   - an SBOM for each archive, in the format CycloneDX,
//   - a Debian package of the node for each architecture of Linux,
//   - compose.yaml, which runs the release with docker compose,
//   - SHA256SUMS, the checksums of these and of the other files in the directory.
//
// `make release VERSION=1.2.3` builds the programs, and puts the image and the kubectl
// plugin for krew into the same directory first. The same programs make the same bytes;
// SOURCE_DATE_EPOCH is the time of every file. The default paths are relative to hack/.
package main

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/semver"

	"github.com/driveshare/downstream-node/hack/archive"
)

const (
	name     = "downstream-node" // of the release, and of the program that its package installs
	homepage = "https://github.com/driveshare/downstream-node"
)

// options are the inputs of a release.
type options struct {
	binaries string // OS/ARCHITECTURE/PROGRAM
	root     string // the repository
	version  string // without v
	output   string
	date     time.Time
}

// platform is an operating system and an architecture, in Go's names.
type platform struct{ system, arch string }

func (p platform) String() string { return p.system + "_" + p.arch }

func main() {
	o := options{date: archive.Epoch}
	flag.StringVar(&o.binaries, "binaries", "../dist/build", "directory with the programs, as OS/ARCHITECTURE/PROGRAM")
	flag.StringVar(&o.root, "root", "..", "the repository")
	flag.StringVar(&o.version, "version", "", "version of the release, such as 1.2.3")
	flag.StringVar(&o.output, "output", "../dist/release", "directory to write")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	version := "v" + strings.TrimPrefix(o.version, "v")
	if semver.Canonical(version)+semver.Build(version) != version {
		return fmt.Errorf("the version %q is not a semantic version; write make release VERSION=1.2.3", o.version)
	}
	o.version = version[1:]
	if epoch := os.Getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return fmt.Errorf("SOURCE_DATE_EPOCH is %q; give it the seconds since 1970", epoch)
		}
		if at := time.Unix(seconds, 0).UTC(); at.After(o.date) {
			o.date = at
		}
	}
	found, err := filepath.Glob(filepath.Join(o.binaries, "*", "*", name+"*"))
	if err != nil {
		return err
	}
	var platforms []platform
	for _, path := range found {
		dir := filepath.Dir(path)
		platforms = append(platforms, platform{filepath.Base(filepath.Dir(dir)), filepath.Base(dir)})
	}
	here := platform{runtime.GOOS, runtime.GOARCH}
	if !slices.Contains(platforms, here) {
		return fmt.Errorf("%s has no programs for this machine, %v, and they write their own manual pages; run make release, which builds them", o.binaries, here)
	}
	texts, err := o.texts(here)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.output, 0o777); err != nil {
		return err
	}
	for _, p := range platforms {
		if err := o.platform(p, texts); err != nil {
			return fmt.Errorf("%v: %w", p, err)
		}
	}
	if err := o.compose(); err != nil {
		return err
	}
	return o.checksums()
}

// write writes a file of the release and prints its name.
func (o options) write(file string, content []byte) error {
	path := filepath.Join(o.output, file)
	fmt.Println(path)
	return os.WriteFile(path, content, 0o666)
}

// platform makes the archive, the SBOM and the package of a platform.
func (o options) platform(p platform, texts []archive.File) error {
	files, err := o.programs(p)
	if err != nil {
		return err
	}
	base := fmt.Sprintf("%s_%s_%v", name, o.version, p)
	bom, err := o.sbom(p, files)
	if err != nil {
		return err
	}
	if err := o.write(base+".cdx.json", bom); err != nil {
		return err
	}
	var inside []archive.File
	for _, f := range slices.Concat(files, texts) {
		f.Name = base + "/" + f.Name
		inside = append(inside, f)
	}
	ending, packed, err := archive.Pack(p.system, inside, o.date)
	if err != nil {
		return err
	}
	if err := o.write(base+ending, packed); err != nil || p.system != "linux" {
		return err
	}
	packed, err = o.debian(p, files, texts)
	if err != nil {
		return err
	}
	return o.write(fmt.Sprintf("%s_%s_%s.deb", name, o.version, p.arch), packed)
}

// programs returns the programs of a platform.
func (o options) programs(p platform) (files []archive.File, err error) {
	dir := filepath.Join(o.binaries, p.system, p.arch)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		files = append(files, archive.File{Name: e.Name(), Mode: 0o755, Content: content})
	}
	return files, nil
}

// texts returns what is the same on all platforms: the manual pages and the completions
// that the programs for this machine write, and files of the repository.
func (o options) texts(here platform) (files []archive.File, err error) {
	for _, file := range []string{
		"LICENSE", "README.md", "CHANGELOG.md", "config/compose/compose.yaml",
		"config/systemd/downstream-node.service", "config/systemd/downstream-node-api.service", "config/systemd/downstream-node-worker@.service",
		"config/systemd/downstream-node.sysusers", "config/systemd/standalone.yaml", "config/systemd/node.yaml",
	} {
		content, err := os.ReadFile(filepath.Join(o.root, file))
		if err != nil {
			return nil, err
		}
		files = append(files, archive.File{Name: strings.TrimPrefix(file, "config/"), Mode: 0o644, Content: content})
	}
	programs, err := o.programs(here)
	if err != nil {
		return nil, err
	}
	for _, program := range programs {
		path := filepath.Join(o.binaries, here.system, here.arch, program.Name)
		pages, err := o.manual(path)
		if err != nil {
			return nil, err
		}
		files = append(files, pages...)
		for _, shell := range []string{"bash", "fish", "powershell", "zsh"} {
			text, err := o.ask(path, "completion", shell)
			if err != nil {
				return nil, err
			}
			files = append(files, archive.File{Name: "completions/" + program.Name + "." + shell, Mode: 0o644, Content: text})
		}
	}
	return files, nil
}

// manual returns the manual pages of a program.
func (o options) manual(program string) (files []archive.File, err error) {
	dir, err := os.MkdirTemp("", "release-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if _, err := o.ask(program, "man", dir); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		page, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		files = append(files, archive.File{Name: "man/" + e.Name(), Mode: 0o644, Content: page})
	}
	return files, nil
}

// ask runs a program and returns what it prints. The environment must not change what
// the program says about its defaults.
func (o options) ask(program string, args ...string) ([]byte, error) {
	cmd := exec.Command(program, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "SOURCE_DATE_EPOCH=" + strconv.FormatInt(o.date.Unix(), 10)}
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", program, strings.Join(args, " "), err)
	}
	return out, nil
}

// compose writes compose.yaml for the image of this release.
func (o options) compose() error {
	text, err := os.ReadFile(filepath.Join(o.root, "config/compose/compose.yaml"))
	if err != nil {
		return err
	}
	return o.write("compose.yaml", image.ReplaceAll(text, []byte("${1}"+o.version)))
}

// image matches the image in compose.yaml.
var image = regexp.MustCompile(`(ghcr\.io/driveshare/downstream-node:)[0-9][0-9A-Za-z.-]*`)

// checksums writes SHA256SUMS, in the format of sha256sum.
func (o options) checksums() error {
	entries, err := os.ReadDir(o.output)
	if err != nil {
		return err
	}
	var sums strings.Builder
	for _, e := range entries {
		if e.Name() == sumsFile {
			continue
		}
		content, err := os.ReadFile(filepath.Join(o.output, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(content), e.Name())
	}
	return o.write(sumsFile, []byte(sums.String()))
}

const sumsFile = "SHA256SUMS"
