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

// disk is the directory of one farmer:
//
//	token.json                           the identity
//	contracts/HASH-RANDOM/               one contract
//	contracts/HASH-RANDOM/contract.json  its record
//	contracts/HASH-RANDOM/tag            binary
//	contracts/HASH-RANDOM/file
//
// A contract exists if its record exists. The tag is written before the record. The
// file is written after the record, because the seed can always produce the file
// again. A directory without a record is incomplete and is removed. Every file is
// either complete or absent.
type disk struct {
	dir  string
	sync bool // fsync after each write
}

// identity is the farmer's token and the SJCX address that the token belongs to.
type identity struct {
	Address string `json:"address"`
	Token   string `json:"token"`
	Node    string `json:"node,omitempty"` // the URL of the node that the farmer last joined
}

// record is the part of a contract that the farmer writes to the disk. It does not
// include the current challenge. After a restart the farmer requests the challenge
// from the node.
type record struct {
	FileHash string    `json:"file_hash"`
	Seed     string    `json:"seed"`
	Size     int64     `json:"size"`
	Taken    time.Time `json:"taken"`
	TagHash  string    `json:"tag_hash,omitempty"` // the SHA-256 of the stored tag; older programs did not write it

	dir string
}

const (
	identityName  = "token.json"
	contractsName = "contracts"
	recordName    = "contract.json"
	tagName       = "tag"
	fileName      = "file"
)

func openDisk(dir string, sync bool) (*disk, error) {
	if err := os.MkdirAll(filepath.Join(dir, contractsName), 0o700); err != nil {
		return nil, fmt.Errorf("farmer's directory: %w", err)
	}
	return &disk{dir: dir, sync: sync}, nil
}

// identity returns the saved identity. It returns nil if the farmer has no token
// yet.
func (d *disk) identity() (*identity, error) {
	path := filepath.Join(d.dir, identityName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var id identity
	if err := json.Unmarshal(text, &id); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &id, nil
}

func (d *disk) setIdentity(id identity) error {
	return d.writeJSON(filepath.Join(d.dir, identityName), id)
}

// records lists the contracts and removes directories that a crash left
// incomplete.
func (d *disk) records() ([]record, error) {
	records, incomplete, err := d.list()
	for _, dir := range incomplete {
		if err == nil {
			err = os.RemoveAll(dir)
		}
	}
	return records, err
}

// list lists the contracts, and the directories without a record.
func (d *disk) list() (records []record, incomplete []string, err error) {
	root := filepath.Join(d.dir, contractsName)
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, nil, err
	}
	for _, entry := range entries {
		dir := filepath.Join(root, entry.Name())
		text, err := os.ReadFile(filepath.Join(dir, recordName))
		if errors.Is(err, fs.ErrNotExist) {
			incomplete = append(incomplete, dir)
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		r := record{dir: dir}
		if err := json.Unmarshal(text, &r); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", filepath.Join(dir, recordName), err)
		}
		records = append(records, r)
	}
	return records, incomplete, nil
}

// add saves a new contract, but not its file.
func (d *disk) add(r record, tag []byte) (record, error) {
	root := filepath.Join(d.dir, contractsName)
	dir, err := os.MkdirTemp(root, r.FileHash+"-")
	if err != nil {
		return record{}, err
	}
	sum := sha256.Sum256(tag)
	r.dir, r.TagHash = dir, hex.EncodeToString(sum[:])
	err = d.write(filepath.Join(dir, tagName), func(w io.Writer) error {
		_, err := w.Write(tag)
		return err
	})
	if err == nil {
		err = d.writeJSON(filepath.Join(dir, recordName), r)
	}
	if err == nil {
		err = d.syncDir(root)
	}
	if err != nil {
		return record{}, errors.Join(err, os.RemoveAll(dir))
	}
	return r, nil
}

// writeFile returns errContent if the content of the seed does not have the
// contract's hash.
var errContent = errors.New("the seed's content does not have the file's hash")

// writeFile writes the contract's file from its seed and checks its hash.
func (d *disk) writeFile(ctx context.Context, r record) error {
	return d.write(filepath.Join(r.dir, fileName), func(w io.Writer) error {
		sum := sha256.New()
		content := contextReader{ctx, filestream.New(r.Seed, r.Size)}
		// This buffer is larger than the one of io.Copy. So the time to set up the
		// cipher in each read is negligible.
		buffer := make([]byte, min(max(r.Size, 1), 256<<10))
		// io.CopyBuffer ignores the buffer if the writer is an io.ReaderFrom.
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

// contextReader stops a long copy when its context ends.
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

// hasFile reports whether the contract's file exists.
func (d *disk) hasFile(r record) bool {
	_, err := os.Stat(filepath.Join(r.dir, fileName))
	return err == nil
}

// remove removes the contract. It removes the record first. A crash then leaves an
// incomplete directory, and the method records removes that directory.
func (d *disk) remove(r record) error {
	err := os.Remove(filepath.Join(r.dir, recordName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(r.dir)
}

func (d *disk) writeJSON(path string, v any) error {
	return d.write(path, func(w io.Writer) error { return json.NewEncoder(w).Encode(v) })
}

// write writes a file in one step. It writes a temporary file and then renames it
// to path.
func (d *disk) write(path string, fill func(io.Writer) error) (err error) {
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
	if err == nil && d.sync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return d.syncDir(filepath.Dir(path))
}

// syncDir flushes the entries of a directory, such as the name of a renamed file.
func (d *disk) syncDir(dir string) error {
	if !d.sync {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
