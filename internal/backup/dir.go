package backup

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/driveshare/downstream-node/internal/disk"
)

// Dir is a directory with the backups of a node, and maybe those of other nodes.
type Dir struct {
	Path string
	Node string
}

const (
	extension  = ".tar.gz"
	ageEnding  = ".age" // follows the extension of a backup that is encrypted
	timeLayout = "20060102T150405Z"
	// partial ends the name of a file that is not complete.
	partial = ".part"
	// abandoned is the age after which no process writes to a partial file any more.
	abandoned = 24 * time.Hour
)

// List returns the names of the node's backups, the newest first.
func (d Dir) List() (names []string, err error) {
	entries, err := os.ReadDir(d.Path)
	if err != nil {
		return nil, fmt.Errorf("list the backups: %w", err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return Select(names, d.Node), nil
}

// Select returns the names of a node's backups among the names of files, the newest first.
func Select(files []string, node string) (names []string) {
	pattern := regexp.MustCompile("^" + regexp.QuoteMeta(node) + `-[0-9]{8}T[0-9]{6}Z` + regexp.QuoteMeta(extension) + "(" + regexp.QuoteMeta(ageEnding) + ")?$")
	for _, file := range files {
		if pattern.MatchString(file) {
			names = append(names, file)
		}
	}
	slices.Sort(names)
	slices.Reverse(names)
	return names
}

// Save stores a backup that write writes. Then it deletes the oldest backups, so that keep
// remain. It refuses if the directory has too little room: for a backup as large as the
// newest one, or as its dump if there is none.
func (d Dir) Save(now time.Time, keep int, dumpBytes int64, encrypted bool, write func(io.Writer) error) (name string, deleted []string, err error) {
	if err := os.MkdirAll(d.Path, 0o700); err != nil {
		return "", nil, err
	}
	older, err := d.List()
	if err != nil {
		return "", nil, err
	}
	d.removeAbandoned(now)
	if err := d.checkRoom(older, dumpBytes); err != nil {
		return "", nil, err
	}
	name = d.Node + "-" + now.UTC().Format(timeLayout) + extension
	if encrypted {
		name += ageEnding
	}
	if slices.Contains(older, name) {
		return "", nil, fmt.Errorf("the backup %s exists already; try again in a second", name)
	}
	if err := d.create(name, write); err != nil {
		return "", nil, fmt.Errorf("save the backup %s: %w", name, err)
	}
	for i, old := range older {
		if i+1 < keep {
			continue
		}
		if err := os.Remove(filepath.Join(d.Path, old)); err != nil {
			return name, deleted, fmt.Errorf("the backup %s is complete, but an old one cannot be deleted: %w", name, err)
		}
		deleted = append(deleted, old)
	}
	return name, deleted, nil
}

// Temporary creates a file in the directory. The caller must close and remove it. If the
// process is killed, a later Save removes it.
func (d Dir) Temporary() (*os.File, error) { return os.CreateTemp(d.Path, "."+d.Node+"-*"+partial) }

// create writes a file, completely or not at all.
func (d Dir) create(name string, write func(io.Writer) error) error {
	tmp, err := d.Temporary()
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	err = write(tmp)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), filepath.Join(d.Path, name)); err != nil {
		return err
	}
	dir, err := os.Open(d.Path)
	if err != nil {
		return err
	}
	defer dir.Close()
	// Some network file systems cannot sync a directory.
	if err := dir.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// removeAbandoned deletes the partial files of processes that were killed.
func (d Dir) removeAbandoned(now time.Time) {
	entries, _ := os.ReadDir(d.Path) // Save has listed the directory just before
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "."+d.Node+"-") || !strings.HasSuffix(e.Name(), partial) {
			continue
		}
		if info, err := e.Info(); err == nil && now.Sub(info.ModTime()) > abandoned {
			_ = os.Remove(filepath.Join(d.Path, e.Name())) // the check of the room reports it if this matters
		}
	}
}

func (d Dir) checkRoom(older []string, dumpBytes int64) error {
	need, why := uint64(dumpBytes), "the dump has this size"
	if len(older) > 0 {
		info, err := os.Stat(filepath.Join(d.Path, older[0]))
		if err != nil {
			return err
		}
		need, why = uint64(info.Size())*11/10, "the last backup had almost this size"
	}
	free, err := disk.Free(d.Path)
	if err != nil {
		return nil // the write that follows returns the reason
	}
	if free < need {
		return fmt.Errorf("the volume of the backups has %s left, and a backup needs up to %s (%s): use a larger volume, or keep fewer backups",
			humanize.IBytes(free), humanize.IBytes(need), why)
	}
	return nil
}

// dumpEnd is how mariadb-dump and mysqldump end a complete dump.
const dumpEnd = "-- Dump completed"

// CheckDump returns an error if the dump in a file is not complete. It returns its size.
func CheckDump(file *os.File) (size int64, err error) {
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	tail := make([]byte, min(info.Size(), 256))
	if _, err := file.ReadAt(tail, info.Size()-int64(len(tail))); err != nil {
		return 0, fmt.Errorf("read the end of the dump: %w", err)
	}
	if !strings.Contains(string(tail), dumpEnd) {
		return 0, fmt.Errorf("the dump %s is not complete: it does not end with %q", file.Name(), dumpEnd)
	}
	return info.Size(), nil
}
