package geo

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"github.com/oschwald/geoip2-golang/v2"
)

// maxSize is the maximum size of a database, in bytes. Real databases are much smaller.
const maxSize = 1 << 30

// errBeingWritten is returned if the file changed during the read.
var errBeingWritten = errors.New("the file is being written")

func (r *Reader) watch(interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-r.stop:
			return
		case <-ticker.C:
			r.reload()
		}
	}
}

// reload replaces the database if the file has changed since the last call. It
// logs each change and each new problem once, not at every call.
func (r *Reader) reload() {
	previous := r.file.problem
	content, err := r.file.readIfChanged()
	if err == nil && content == nil {
		return
	}
	var db *geoip2.Reader
	if err == nil {
		db, err = open(content)
	}
	if err != nil {
		r.file.problem = err.Error()
		if r.file.problem != previous {
			r.log.Warn("location database cannot be used", "error", err, "keeping", r.current.Load() != nil)
		}
		return
	}
	r.file.problem = ""
	r.current.Store(db)
	r.log.Info("location database opened", "type", db.Metadata().DatabaseType, "built", db.Metadata().BuildTime().UTC())
}

// open opens the database in content. The trial lookup fails if the database is of
// another type, such as a database of networks (ASN).
func open(content []byte) (*geoip2.Reader, error) {
	db, err := geoip2.OpenBytes(content)
	if err != nil {
		return nil, err
	}
	if _, err := db.City(netip.AddrFrom4([4]byte{1, 1, 1, 1})); err != nil {
		return nil, err
	}
	return db, nil
}

// Inspect returns the type of the database in a file, and when it was built.
func Inspect(path string) (kind string, built time.Time, err error) {
	f := file{path: path}
	content, err := f.readIfChanged()
	if err != nil {
		return "", time.Time{}, err
	}
	db, err := open(content)
	if err != nil {
		return "", time.Time{}, err
	}
	return db.Metadata().DatabaseType, db.Metadata().BuildTime().UTC(), nil
}

// file is a file that can change.
type file struct {
	path    string
	seen    os.FileInfo // the file at the last successful read; nil if there was none
	problem string      // the last problem that was logged; empty if there is none
}

// readIfChanged returns the content of the file if the file has changed since the
// last read, and nil otherwise. It compares the file's identity, size and modification
// time. It resolves the path at every call, because Kubernetes updates a config map by
// changing a symbolic link in the path.
func (f *file) readIfChanged() ([]byte, error) {
	before, err := os.Stat(f.path)
	if err != nil {
		f.seen = nil
		return nil, err
	}
	if f.seen != nil && same(f.seen, before) {
		return nil, nil
	}
	if !before.Mode().IsRegular() || before.Size() > maxSize {
		return nil, fmt.Errorf("not a regular file of at most %d bytes", maxSize)
	}
	opened, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	content := make([]byte, before.Size())
	if _, err := io.ReadFull(opened, content); err != nil {
		return nil, fmt.Errorf("reading: %w", err)
	}
	// If another process writes the file now, the content can be the start of
	// one database and the end of another.
	after, err := opened.Stat()
	if err != nil {
		return nil, err
	}
	if !same(before, after) {
		return nil, errBeingWritten
	}
	f.seen = before
	return content, nil
}

func same(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
