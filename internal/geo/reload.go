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

// maxSize bounds a database, in bytes, well above the largest that exists.
const maxSize = 1 << 30

// errUnsettled means that the file was written to while it was read.
var errUnsettled = errors.New("the file is being written")

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

// reload puts the file's database in the place of the current one if the file
// has changed since the last time. It logs each change and each new trouble
// once, not at every look.
func (r *Reader) reload() {
	previous := r.file.trouble
	content, err := r.file.readIfChanged()
	if err == nil && content == nil {
		return
	}
	var db *geoip2.Reader
	if err == nil {
		db, err = open(content)
	}
	if err != nil {
		r.file.trouble = err.Error()
		if r.file.trouble != previous {
			r.log.Warn("location database cannot be used", "error", err, "keeping", r.current.Load() != nil)
		}
		return
	}
	r.file.trouble = ""
	r.current.Store(db)
	r.log.Info("location database opened", "type", db.Metadata().DatabaseType, "built", db.Metadata().BuildTime().UTC())
}

// open returns the database in content, which has to be one of cities.
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

// file is a file that may change.
type file struct {
	path    string
	seen    os.FileInfo // of the file as it was read last; nil before
	trouble string      // what was last wrong with it; empty if nothing
}

// readIfChanged returns the content of the file if it is another one, or a
// newer or longer or shorter one, than it was read last, and nil if not. The
// path is resolved anew each time: Kubernetes changes the files of a config map
// by changing where a symbolic link in the path points.
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
	// A writer that is at work now would leave us with the start of one
	// database and the end of another.
	after, err := opened.Stat()
	if err != nil {
		return nil, err
	}
	if !same(before, after) {
		return nil, errUnsettled
	}
	f.seen = before
	return content, nil
}

func same(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
