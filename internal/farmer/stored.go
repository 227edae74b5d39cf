package farmer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Stored is what the directory of a farmer holds.
type Stored struct {
	Dir       string
	FarmerID  string // empty if the farmer has never joined a node
	Address   string
	Node      string // the URL of the node
	Contracts int
	Bytes     int64

	records []record
}

// ReadGroup reads the directories of a group's farmers. It changes nothing, so the farmers
// may run.
func ReadGroup(dir string) (group []Stored, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if !entry.IsDir() || !strings.HasPrefix(entry.Name(), groupPrefix) {
			continue
		}
		one := Stored{Dir: filepath.Join(dir, entry.Name())}
		d := &disk{dir: one.Dir}
		saved, err := d.identity()
		if err != nil {
			return nil, err
		}
		if saved != nil {
			one.FarmerID, one.Address, one.Node = FarmerID(saved.Token), saved.Address, saved.Node
		}
		if one.records, _, err = d.list(); err != nil {
			return nil, err
		}
		for _, r := range one.records {
			one.Bytes += r.Size
		}
		one.Contracts = len(one.records)
		group = append(group, one)
	}
	return group, nil
}

// Verify reads each file and each tag, and compares their hashes. It calls damaged for each file
// that is missing or differs, and lost for each file whose tag does: only the node can make a
// tag. If repair is set, it writes damaged files again from their seeds; the farmer must not
// run meanwhile.
func (s Stored) Verify(ctx context.Context, repair bool, damaged, lost func(file, problem string)) error {
	d := &disk{dir: s.Dir, sync: true}
	for _, r := range s.records {
		if problem, err := r.checkTag(); err != nil {
			return err
		} else if problem != "" {
			lost(r.FileHash, problem)
			continue
		}
		problem, err := r.check(ctx)
		if err != nil {
			return err
		}
		if problem == "" {
			continue
		}
		damaged(r.FileHash, problem)
		if repair {
			if err := d.writeFile(ctx, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkTag returns what is wrong with the tag of a contract, or "".
func (r record) checkTag() (problem string, err error) {
	tag, err := os.ReadFile(filepath.Join(r.dir, tagName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "has lost its tag", nil
	case err != nil:
		return "", err
	}
	if sum := sha256.Sum256(tag); r.TagHash != "" && r.TagHash != hex.EncodeToString(sum[:]) {
		return "has a damaged tag", nil
	}
	return "", nil
}

// check returns what is wrong with the file of a contract, or "".
func (r record) check(ctx context.Context) (problem string, err error) {
	file, err := os.Open(filepath.Join(r.dir, fileName))
	if errors.Is(err, fs.ErrNotExist) {
		return "is missing", nil
	}
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, contextReader{ctx, file})
	if err != nil {
		if ctx.Err() != nil {
			return "", err
		}
		return fmt.Sprintf("cannot be read: %v", err), nil
	}
	if n != r.Size {
		return fmt.Sprintf("has %d bytes, not %d", n, r.Size), nil
	}
	if hex.EncodeToString(sum.Sum(nil)) != r.FileHash {
		return "has another content than the node expects", nil
	}
	return "", nil
}

// Leave deletes the farmer's token and its files. The farmer must not run.
func (s Stored) Leave() error { return os.RemoveAll(s.Dir) }
