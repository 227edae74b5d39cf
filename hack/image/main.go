package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// options is what goes into an archive, and what it is called.
type options struct {
	binaries     []string
	certificates string // may name a file that is not there
	license      string
	name         string
	version      string
	output       string
}

func main() {
	var o options
	binaries := flag.String("binaries", "bin/downstream-node,bin/downstream-operator", "the static binaries, separated by commas")
	flag.StringVar(&o.certificates, "certificates", "/etc/ssl/certs/ca-certificates.crt", "the certificates that TLS to MySQL and Redis is verified with; left out where there is no such file")
	flag.StringVar(&o.license, "license", "LICENSE", "the license")
	flag.StringVar(&o.name, "name", "localhost/downstream-node:dev", "the image's name, with host and tag")
	flag.StringVar(&o.version, "version", "dev", "the version, for the image's label")
	flag.StringVar(&o.output, "output", "dist/image.tar", "the archive to write")
	flag.Parse()
	o.binaries = strings.Split(*binaries, ",")
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
	image, err := build(o)
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
