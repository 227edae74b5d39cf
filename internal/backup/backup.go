// Package backup writes and reads the backups of a node. A backup is one file: the database,
// the heartbeat keys and a manifest, encrypted with age if there is a recipient.
//
// The file is age(gzip(tar(manifest.json, keys/NAME..., dump.sql))), so that
// `age -d -i IDENTITY FILE | tar xz` unpacks it without this program. In place of dump.sql, a
// backup of SQLite has downstream.db. The manifest and the keys come first: a reader can refuse
// a backup before it reads the database. age authenticates the content. Without age, the
// checksum of gzip finds damage, but no forgery. A reader notices if the end is missing.
//
// The package knows neither the database nor Kubernetes, because both the node program and
// the kubectl plugin use it.
//
// Invariant: a file with the name of a backup is complete.
package backup

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/driveshare/downstream-node/heartbeat/schemes"
)

// The versions of the file's layout.
const (
	formatDump   = 1
	formatSQLite = 2
)

// The names of the parts.
const (
	manifestName = "manifest.json"
	keyFolder    = "keys/"
	dumpName     = "dump.sql"
	sqliteName   = "downstream.db"
)

// maxPart limits the manifest and each key, which are read into memory.
const maxPart = 4 << 20

// Manifest says what a backup contains.
type Manifest struct {
	Format    int       `json:"format"`
	Node      string    `json:"node"`    // namespace.name on Kubernetes
	Version   string    `json:"version"` // of the program that wrote the backup
	Schema    int64     `json:"schema"`  // the version of the tables
	Created   time.Time `json:"created"`
	Heartbeat time.Time `json:"lastHeartbeat"` // the newest heartbeat in the database
	Contracts int64     `json:"contracts"`     // that had not ended
	Keys      []Key     `json:"keys"`          // the newest first
	DumpBytes int64     `json:"dumpBytes"`
	// SQLite says that the database is a file of SQLite, and not a dump of MySQL.
	SQLite bool `json:"sqlite,omitempty"`
	// Resource is the manifest of the DownstreamNode, if the node had one.
	Resource json.RawMessage `json:"resource,omitempty"`
}

// databaseName is the name of the part with the database.
func (m Manifest) databaseName() string {
	if m.SQLite {
		return sqliteName
	}
	return dumpName
}

// Key is a heartbeat key.
type Key struct {
	Name        string `json:"name"` // of its file
	Type        string `json:"type"`
	Fingerprint string `json:"fingerprint"`
	File        []byte `json:"-"`
}

// NewKey describes the key in a heartbeat file.
func NewKey(name string, file []byte) (Key, error) {
	hb, err := schemes.ParseFile(file)
	if err != nil {
		return Key{}, fmt.Errorf("%s is not a private heartbeat file", name) // the parser may quote the secret
	}
	return Key{Name: name, Type: string(hb.Type()), Fingerprint: schemes.Fingerprint(hb), File: file}, nil
}

// ParseRecipients returns the age recipients, who can decrypt a backup.
func ParseRecipients(keys []string) ([]age.Recipient, error) {
	if len(keys) == 0 {
		return nil, errors.New("a backup needs a recipient, because it contains the heartbeat keys: make a key with `age-keygen`, and name its public key (age1...)")
	}
	recipients, err := age.ParseRecipients(strings.NewReader(strings.Join(keys, "\n")))
	if err != nil {
		return nil, fmt.Errorf("the recipients must be public keys of age (age1...): %w", err)
	}
	return recipients, nil
}

// notEncrypted is the writer of a backup without recipients.
type notEncrypted struct{ io.Writer }

func (notEncrypted) Close() error { return nil }

// Write writes a backup. Without recipients it is not encrypted. Write sets the manifest's
// format. dump must have manifest.DumpBytes bytes.
func Write(w io.Writer, recipients []age.Recipient, m Manifest, dump io.Reader) (err error) {
	encrypted := io.WriteCloser(notEncrypted{w})
	if len(recipients) > 0 {
		if encrypted, err = age.Encrypt(w, recipients...); err != nil {
			return fmt.Errorf("encrypt the backup: %w", err)
		}
	}
	compressed, err := gzip.NewWriterLevel(encrypted, gzip.BestSpeed)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(compressed)
	add := func(name string, size int64, content io.Reader) error {
		err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: m.Created})
		if err == nil {
			var n int64
			if n, err = io.Copy(archive, content); err == nil && n < size {
				err = io.ErrUnexpectedEOF
			}
		}
		if err != nil {
			return fmt.Errorf("write %s of the backup: %w", name, err)
		}
		return nil
	}
	m.Format = formatDump
	if m.SQLite {
		m.Format = formatSQLite
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := add(manifestName, int64(len(text)), bytes.NewReader(text)); err != nil {
		return err
	}
	for _, k := range m.Keys {
		if err := add(keyFolder+k.Name, int64(len(k.File)), bytes.NewReader(k.File)); err != nil {
			return err
		}
	}
	if err := add(m.databaseName(), m.DumpBytes, dump); err != nil {
		return err
	}
	for _, c := range []io.Closer{archive, compressed, encrypted} {
		if err := c.Close(); err != nil {
			return fmt.Errorf("complete the backup: %w", err)
		}
	}
	return nil
}

// Reader reads a backup.
type Reader struct {
	Manifest
	archive    *tar.Reader
	compressed *gzip.Reader
}

// gzipMagic begins a backup that is not encrypted.
var gzipMagic = []byte{0x1f, 0x8b}

// Open reads the manifest and the keys of a backup. identity is an age identity file; a backup
// that is not encrypted needs none.
func Open(r io.Reader, identity []byte) (*Reader, error) {
	buffered := bufio.NewReader(r)
	plain := io.Reader(buffered)
	if start, _ := buffered.Peek(len(gzipMagic)); !bytes.Equal(start, gzipMagic) {
		var err error
		if plain, err = decrypt(buffered, identity); err != nil {
			return nil, err
		}
	}
	return readArchive(plain)
}

func decrypt(r io.Reader, identity []byte) (io.Reader, error) {
	if identity == nil {
		return nil, errors.New("the backup is encrypted, or is not a backup: name your identity file of age with --identity")
	}
	identities, err := age.ParseIdentities(bytes.NewReader(identity))
	if err != nil {
		return nil, errors.New("the identity is not a file that `age-keygen` wrote (AGE-SECRET-KEY-1...); a file with a passphrase must be decrypted first, with `age -d`")
	}
	plain, err := age.Decrypt(r, identities...)
	if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
		return nil, errors.New("the identity does not open this backup: use the one whose public key was among the recipients when the backup was made")
	}
	if err != nil {
		return nil, damaged(err)
	}
	return plain, nil
}

func readArchive(plain io.Reader) (b *Reader, err error) {
	b = &Reader{}
	if b.compressed, err = gzip.NewReader(plain); err != nil {
		return nil, damaged(err)
	}
	b.archive = tar.NewReader(b.compressed)
	text, err := b.part(manifestName)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &b.Manifest); err != nil {
		return nil, damaged(err)
	}
	if b.Format < formatDump || b.Format > formatSQLite {
		return nil, fmt.Errorf("the backup has the format %d, and this program knows the formats %d to %d: use the version %s of the program, which wrote it",
			b.Format, formatDump, formatSQLite, b.Version)
	}
	for i, want := range b.Keys {
		file, err := b.part(keyFolder + path.Base(want.Name))
		if err != nil {
			return nil, err
		}
		got, err := NewKey(want.Name, file)
		if err != nil {
			return nil, damaged(err)
		}
		if got.Fingerprint != want.Fingerprint {
			return nil, damaged(fmt.Errorf("%s has the fingerprint %.12s, but the manifest says %.12s", want.Name, got.Fingerprint, want.Fingerprint))
		}
		b.Keys[i] = got
	}
	header, err := b.archive.Next()
	if err != nil {
		return nil, damaged(err)
	}
	if name := b.databaseName(); header.Name != name || header.Size != b.DumpBytes {
		return nil, damaged(fmt.Errorf("it has %s of %d bytes after the keys, want %s of %d bytes", header.Name, header.Size, name, b.DumpBytes))
	}
	return b, nil
}

// part returns the next part, which must have this name.
func (b *Reader) part(name string) ([]byte, error) {
	header, err := b.archive.Next()
	if err != nil {
		return nil, damaged(err)
	}
	if header.Name != name || header.Size > maxPart {
		return nil, damaged(fmt.Errorf("it has %.100q of %d bytes, want %s", header.Name, header.Size, name))
	}
	content, err := io.ReadAll(b.archive)
	if err != nil {
		return nil, damaged(err)
	}
	return content, nil
}

// WriteTo writes the database to w, and checks that the backup is complete.
func (b *Reader) WriteTo(w io.Writer) (n int64, err error) {
	r := &readErrors{r: b.archive}
	if n, err = io.Copy(w, r); err != nil {
		if r.err != nil {
			err = damaged(r.err)
		}
		return n, err
	}
	switch header, err := b.archive.Next(); {
	case err == nil:
		return n, damaged(fmt.Errorf("%.100q follows the dump", header.Name))
	case err != io.EOF:
		return n, damaged(err)
	}
	// age authenticates the end of its content too, and gzip's checksum is there.
	if _, err := io.Copy(io.Discard, b.compressed); err != nil {
		return n, damaged(err)
	}
	return n, nil
}

// readErrors remembers an error of a reader, so that it differs from a writer's.
type readErrors struct {
	r   io.Reader
	err error
}

func (r *readErrors) Read(p []byte) (n int, err error) {
	if n, err = r.r.Read(p); err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

func damaged(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("the backup is truncated or damaged (%w): copy it again, or use an older one", err)
}
