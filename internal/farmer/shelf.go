package farmer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/driveshare/downstream-node/heartbeat/filestream"
)

// shelf is the directory of one farmer:
//
//	token.json                      the membership
//	contracts/HASH-RANDOM/          one contract
//	contracts/HASH-RANDOM/contract.json
//	contracts/HASH-RANDOM/tag       binary
//	contracts/HASH-RANDOM/file
//
// The records, contract.json, are the index. A contract exists from the
// moment its record does: the tag is written before it, and the file, which
// can be written again from the seed, after it. A directory without a record
// is rubbish. Every file is whole or not there.
type shelf struct {
	dir  string
	sync bool // flush what is written to the disk
}

// membership is who the farmer is at its node.
type membership struct {
	Address string `json:"address"`
	Token   string `json:"token"`
}

// record is what of a contract outlives the process. Where its challenge
// stands is not in it: the node is asked for that.
type record struct {
	FileHash string        `json:"file_hash"`
	Seed     string        `json:"seed"`
	Size     int64         `json:"size"`
	Interval time.Duration `json:"interval"` // as the first due told, so rounded down
	Taken    time.Time     `json:"taken"`

	dir string
}

const (
	membershipName = "token.json"
	contractsName  = "contracts"
	recordName     = "contract.json"
	tagName        = "tag"
	fileName       = "file"
)

func openShelf(dir string, sync bool) (*shelf, error) {
	if err := os.MkdirAll(filepath.Join(dir, contractsName), 0o700); err != nil {
		return nil, fmt.Errorf("farmer's directory: %w", err)
	}
	return &shelf{dir: dir, sync: sync}, nil
}

// membership gives nil where the farmer has none yet.
func (s *shelf) membership() (*membership, error) {
	text, err := os.ReadFile(filepath.Join(s.dir, membershipName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var m membership
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(s.dir, membershipName), err)
	}
	return &m, nil
}

func (s *shelf) setMembership(m membership) error {
	return s.writeJSON(filepath.Join(s.dir, membershipName), m)
}

// records lists the contracts and clears away what a crash has left behind.
func (s *shelf) records() ([]record, error) {
	root := filepath.Join(s.dir, contractsName)
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, err
	}
	var records []record
	for _, entry := range entries {
		dir := filepath.Join(root, entry.Name())
		text, err := os.ReadFile(filepath.Join(dir, recordName))
		if errors.Is(err, fs.ErrNotExist) {
			if err := os.RemoveAll(dir); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		r := record{dir: dir}
		if err := json.Unmarshal(text, &r); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, recordName), err)
		}
		records = append(records, r)
	}
	return records, nil
}

// add makes the contract exist. Its file is still to be written.
func (s *shelf) add(r record, tag []byte) (record, error) {
	root := filepath.Join(s.dir, contractsName)
	dir, err := os.MkdirTemp(root, r.FileHash+"-")
	if err != nil {
		return record{}, err
	}
	r.dir = dir
	err = s.write(filepath.Join(dir, tagName), func(w io.Writer) error {
		_, err := w.Write(tag)
		return err
	})
	if err == nil {
		err = s.writeJSON(filepath.Join(dir, recordName), r)
	}
	if err == nil {
		err = s.syncDir(root)
	}
	if err != nil {
		return record{}, errors.Join(err, os.RemoveAll(dir))
	}
	return r, nil
}

// errContent is returned by writeFile for a seed that does not give the file
// that the hash names.
var errContent = errors.New("the seed's content does not have the file's hash")

// writeFile writes the contract's file from its seed and checks its hash.
func (s *shelf) writeFile(ctx context.Context, r record) error {
	return s.write(filepath.Join(r.dir, fileName), func(w io.Writer) error {
		sum := sha256.New()
		content := contextReader{ctx, filestream.New(r.Seed, r.Size)}
		// Larger than io.Copy's own buffer: at this size the cipher's set-up
		// for each read no longer shows.
		buffer := make([]byte, min(max(r.Size, 1), 256<<10))
		// The plain Writer keeps io.CopyBuffer from passing the buffer over.
		out := struct{ io.Writer }{io.MultiWriter(w, sum)}
		if _, err := io.CopyBuffer(out, content, buffer); err != nil {
			return err
		}
		if hex.EncodeToString(sum.Sum(nil)) != r.FileHash {
			return fmt.Errorf("file %s: %w", r.FileHash, errContent)
		}
		return nil
	})
}

// contextReader ends a long copy when its context does.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// hasFile says whether the contract's file is there.
func (s *shelf) hasFile(r record) bool {
	_, err := os.Stat(filepath.Join(r.dir, fileName))
	return err == nil
}

func (s *shelf) openFile(r record) (*os.File, error) {
	return os.Open(filepath.Join(r.dir, fileName))
}

func (s *shelf) tag(r record) ([]byte, error) {
	return os.ReadFile(filepath.Join(r.dir, tagName))
}

// remove ends the contract. The record goes first: from then on the rest is
// rubbish.
func (s *shelf) remove(r record) error {
	err := os.Remove(filepath.Join(r.dir, recordName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(r.dir)
}

func (s *shelf) writeJSON(path string, v any) error {
	return s.write(path, func(w io.Writer) error { return json.NewEncoder(w).Encode(v) })
}

// write makes the file at path whole or not at all: under another name first,
// flushed, then renamed.
func (s *shelf) write(path string, fill func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".part-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	err = fill(f)
	if err == nil && s.sync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return s.syncDir(filepath.Dir(path))
}

// syncDir flushes the names in a directory.
func (s *shelf) syncDir(dir string) error {
	if !s.sync {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
