// Package archive packs files into a gzipped tar file, or for Windows into a zip file.
// The same files make the same bytes, whoever owns them and whenever they were written.
package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"time"
)

// File is a file of an archive.
type File struct {
	Name    string
	Mode    os.FileMode
	Content []byte
}

// Epoch is the first time that a zip can hold.
var Epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// Pack packs files for an operating system. at is the time of every file, not before
// Epoch. It returns the ending of the archive's name.
func Pack(system string, files []File, at time.Time) (ending string, archive []byte, err error) {
	if system == "windows" {
		archive, err = packZip(files, at)
		return ".zip", archive, err
	}
	archive, err = packTar(files, at)
	return ".tar.gz", archive, err
}

func packTar(files []File, at time.Time) ([]byte, error) {
	var buf bytes.Buffer
	compressed, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(compressed)
	for _, f := range files {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: f.Name, Mode: int64(f.Mode), Size: int64(len(f.Content)), ModTime: at, Format: tar.FormatUSTAR}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.Content); err != nil {
			return nil, err
		}
	}
	return finish(&buf, w, compressed)
}

func packZip(files []File, at time.Time) ([]byte, error) {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, f := range files {
		header := &zip.FileHeader{Name: f.Name, Method: zip.Deflate, Modified: at}
		header.SetMode(f.Mode)
		out, err := w.CreateHeader(header)
		if err != nil {
			return nil, err
		}
		if _, err := out.Write(f.Content); err != nil {
			return nil, err
		}
	}
	return finish(&buf, w)
}

// finish closes the writers in order, and returns what they have written.
func finish(buf *bytes.Buffer, writers ...interface{ Close() error }) ([]byte, error) {
	var errs []error
	for _, w := range writers {
		errs = append(errs, w.Close())
	}
	return buf.Bytes(), errors.Join(errs...)
}
