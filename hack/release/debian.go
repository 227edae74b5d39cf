package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"

	"github.com/driveshare/downstream-node/hack/archive"
)

// debian makes the Debian package of the node's program, with its systemd units.
func (o options) debian(p platform, programs, texts []archive.File) ([]byte, error) {
	dir, err := os.MkdirTemp("", "release-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	contents, err := o.debianFiles(dir, programs, texts)
	if err != nil {
		return nil, err
	}
	scripts := filepath.Join(o.root, "hack/release/scripts")
	info := nfpm.WithDefaults(&nfpm.Info{
		Name: name, Version: o.version, VersionSchema: "semver", Platform: p.system, Arch: p.arch, MTime: o.date,
		Section: "net", Priority: "optional", Homepage: homepage, License: "MIT",
		Maintainer: "driveshare <" + homepage + "/issues>",
		Description: "Proof-of-storage verification node\n" +
			"It hands files to farmers, challenges them at intervals, verifies their proofs\n" +
			"of storage and publishes how reliably each of them stores.",
		Overridables: nfpm.Overridables{
			Depends:    []string{"systemd | systemd-standalone-sysusers"}, // postinst makes the user with it
			Recommends: []string{"ca-certificates"},
			Contents:   contents,
			Scripts: nfpm.Scripts{
				PostInstall: filepath.Join(scripts, "postinst"), PreRemove: filepath.Join(scripts, "prerm"), PostRemove: filepath.Join(scripts, "postrm"),
			},
		},
	})
	if err := nfpm.PrepareForPackager(info, "deb"); err != nil {
		return nil, err
	}
	var packed bytes.Buffer
	if err := deb.Default.Package(info, &packed); err != nil {
		return nil, fmt.Errorf("make the Debian package: %w", err)
	}
	return packed.Bytes(), nil
}

// debianFiles writes the files of the package to dir, because the packer reads files, and
// returns where each belongs.
func (o options) debianFiles(dir string, programs, texts []archive.File) (contents files.Contents, err error) {
	add := func(f archive.File, destination, kind string, mode os.FileMode) {
		if err != nil {
			return
		}
		source := filepath.Join(dir, fmt.Sprint(len(contents)))
		err = os.WriteFile(source, f.Content, 0o600)
		contents = append(contents, &files.Content{
			Source: source, Destination: destination, Type: kind,
			FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: mode, MTime: o.date},
		})
	}
	for _, f := range programs {
		if f.Name == name {
			add(f, "/usr/bin/"+name, files.TypeFile, 0o755)
		}
	}
	for _, f := range texts {
		base, kind := filepath.Base(f.Name), files.TypeFile
		var destination string
		switch {
		case f.Name == "LICENSE":
			destination = "/usr/share/doc/" + name + "/copyright"
		case f.Name == "CHANGELOG.md":
			destination = "/usr/share/doc/" + name + "/changelog.gz"
		case strings.HasSuffix(base, ".service"):
			destination = "/usr/lib/systemd/system/" + base
		case strings.HasSuffix(base, ".sysusers"):
			destination = "/usr/lib/sysusers.d/" + name + ".conf"
		case base == "standalone.yaml":
			destination, kind = "/etc/"+name+"/"+base, files.TypeConfigNoReplace
		case base == "node.yaml":
			destination = "/usr/share/doc/" + name + "/examples/" + base
		case strings.HasPrefix(f.Name, "man/"+name):
			destination = "/usr/share/man/man1/" + base + ".gz"
		case f.Name == "completions/"+name+".bash":
			destination = "/usr/share/bash-completion/completions/" + name
		case f.Name == "completions/"+name+".fish":
			destination = "/usr/share/fish/vendor_completions.d/" + name + ".fish"
		case f.Name == "completions/"+name+".zsh":
			destination = "/usr/share/zsh/vendor-completions/_" + name
		default:
			continue // of another program, or not for Debian
		}
		if strings.HasSuffix(destination, ".gz") {
			f.Content = gzipped(f.Content)
		}
		add(f, destination, kind, 0o644)
	}
	return contents, err
}

// gzipped compresses a text, without a name and a time.
func gzipped(text []byte) []byte {
	var buf bytes.Buffer
	w, _ := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	_, _ = w.Write(text) // a buffer takes everything
	_ = w.Close()
	return buf.Bytes()
}
