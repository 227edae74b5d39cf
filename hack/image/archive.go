package main

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// Annotations by which readers find the image's name: containerd the first,
// the others the second.
const (
	annotationImageName = "io.containerd.image.name"
	annotationRefName   = "org.opencontainers.image.ref.name"
)

// writeArchive writes the image as a tar of an OCI layout.
func writeArchive(w io.Writer, image v1.Image, name string) error {
	dir, err := os.MkdirTemp("", "image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	index, err := layout.Write(dir, empty.Index)
	if err != nil {
		return fmt.Errorf("begin the layout: %w", err)
	}
	if err := index.AppendImage(image, layout.WithAnnotations(map[string]string{
		annotationImageName: name,
		annotationRefName:   name,
	})); err != nil {
		return fmt.Errorf("write the layout: %w", err)
	}
	return tarFolder(w, os.DirFS(dir))
}

// tarFolder writes the files of a folder in the order of their names, without
// saying whose they are or how old.
func tarFolder(w io.Writer, folder fs.FS) error {
	out := tar.NewWriter(w)
	if err := fs.WalkDir(folder, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(folder, path)
		if err != nil {
			return err
		}
		if err := out.WriteHeader(&tar.Header{
			Typeflag: tar.TypeReg, Name: path, Mode: 0o644, Size: int64(len(content)), ModTime: then, Format: tar.FormatUSTAR,
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
