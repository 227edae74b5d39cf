package backup

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
	"github.com/driveshare/downstream-node/internal/testenv"
)

var made = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newIdentity(t *testing.T) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	testenv.Must(t, err)
	return id
}

func newKey(t *testing.T, name string) Key {
	t.Helper()
	hb, err := schemes.New(heartbeat.Merkle, nil)
	testenv.Must(t, err)
	key, err := NewKey(name, schemes.MarshalFile(hb))
	testenv.Must(t, err)
	return key
}

// write returns a backup with two keys.
func write(t *testing.T, dump string, change func(*Manifest), to ...*age.X25519Identity) (file []byte, m Manifest) {
	t.Helper()
	m = Manifest{
		Node: "farm.node", Version: "v1", Schema: 14, Created: made, DumpBytes: int64(len(dump)),
		Keys: []Key{newKey(t, "heartbeat-2.json"), newKey(t, "heartbeat.json")}, Resource: json.RawMessage(`{"kind":"DownstreamNode"}`),
	}
	if change != nil {
		change(&m)
	}
	var public []string
	for _, id := range to {
		public = append(public, id.Recipient().String())
	}
	recipients, err := ParseRecipients(public)
	testenv.Must(t, err)
	var out bytes.Buffer
	testenv.Must(t, Write(&out, recipients, m, strings.NewReader(dump)))
	return out.Bytes(), m
}

// read reads a whole backup.
func read(file []byte, identity string) (*Reader, string, error) {
	b, err := Open(bytes.NewReader(file), []byte(identity))
	if err != nil {
		return nil, "", err
	}
	var dump strings.Builder
	_, err = b.WriteTo(&dump)
	return b, dump.String(), err
}

func TestEveryRecipientCanRead(t *testing.T) {
	t.Parallel()
	first, second := newIdentity(t), newIdentity(t)
	dump := strings.Repeat("INSERT INTO tokens VALUES (1);\n", 10000)
	file, want := write(t, dump, nil, first, second)
	for _, id := range []*age.X25519Identity{first, second} {
		b, got, err := read(file, id.String()+"\n")
		testenv.Must(t, err)
		if got != dump || b.Node != want.Node || b.Schema != 14 || !b.Created.Equal(made) || !bytes.Contains(b.Resource, []byte("DownstreamNode")) {
			t.Errorf("the backup has %d bytes of the dump and %+v", len(got), b.Manifest)
		}
		for i, k := range b.Keys {
			if k.Name != want.Keys[i].Name || k.Fingerprint != want.Keys[i].Fingerprint || !bytes.Equal(k.File, want.Keys[i].File) {
				t.Errorf("key %d is %s %s, want %s %s", i, k.Name, k.Fingerprint, want.Keys[i].Name, want.Keys[i].Fingerprint)
			}
		}
	}
	for _, k := range want.Keys {
		if bytes.Contains(file, k.File[:20]) {
			t.Error("a key is not encrypted")
		}
	}
}

// TestDamagedBackups cuts a backup at many places, and changes bytes. No reader may accept it.
func TestDamagedBackups(t *testing.T) {
	t.Parallel()
	id := newIdentity(t)
	random := make([]byte, 200_000) // several chunks of age
	mathrand.NewChaCha8([32]byte{}).Read(random)
	file, _ := write(t, string(random), nil, id)
	for at := 0; at < len(file); at += 1 + len(file)/97 {
		if _, _, err := read(file[:at], id.String()); err == nil || !strings.Contains(err.Error(), "truncated or damaged") {
			t.Errorf("cut at %d of %d: %v", at, len(file), err)
		}
	}
	if _, _, err := read(file[:len(file)-1], id.String()); err == nil {
		t.Error("cut before the last byte: no error")
	}
	for _, at := range []int{len(file) / 2, len(file) - 1} {
		changed := bytes.Clone(file)
		changed[at] ^= 1
		if _, _, err := read(changed, id.String()); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("byte %d changed: %v", at, err)
		}
	}
}

func TestRefusedBackups(t *testing.T) {
	t.Parallel()
	id := newIdentity(t)
	good, _ := write(t, "dump", nil, id)
	other := newKey(t, "heartbeat.json")
	swapped, _ := write(t, "dump", func(m *Manifest) { m.Keys[1].Fingerprint = other.Fingerprint }, id)
	for says, tt := range map[string]struct {
		file     []byte
		identity string
	}{
		"the identity does not open this backup":     {good, newIdentity(t).String()},
		"is not a file that `age-keygen` wrote":      {good, id.Recipient().String()},
		"but the manifest says " + short(other):      {swapped, id.String()},
		"the backup is truncated or damaged (failed": {[]byte("no backup"), id.String()},
	} {
		if _, _, err := read(tt.file, tt.identity); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		} else if strings.Contains(err.Error(), tt.identity) {
			t.Errorf("the error has the identity: %v", err)
		}
	}
	for _, recipients := range [][]string{nil, {"age1"}, {"ssh-ed25519 AAAA"}} {
		if _, err := ParseRecipients(recipients); err == nil || !strings.Contains(err.Error(), "age1...") {
			t.Errorf("%q: %v", recipients, err)
		}
	}
	if _, err := NewKey("heartbeat.json", []byte(`{"secret"}`)); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a wrong key file: %v", err)
	}
	recipients, err := ParseRecipients([]string{id.Recipient().String()})
	testenv.Must(t, err)
	if err := Write(io.Discard, recipients, Manifest{DumpBytes: 5}, strings.NewReader("1234")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a dump that is too short: %v", err)
	}
}

// TestPlainBackups checks that a backup without recipients needs no identity, and that damage
// to it is found.
func TestPlainBackups(t *testing.T) {
	t.Parallel()
	m := Manifest{Node: "farm", SQLite: true, DumpBytes: 8, Created: made, Keys: []Key{newKey(t, "heartbeat.json")}}
	var out bytes.Buffer
	testenv.Must(t, Write(&out, nil, m, strings.NewReader("database")))
	b, err := Open(bytes.NewReader(out.Bytes()), nil)
	testenv.Must(t, err)
	var database strings.Builder
	_, err = b.WriteTo(&database)
	testenv.Must(t, err)
	if database.String() != "database" || !b.SQLite || b.Keys[0].Fingerprint != m.Keys[0].Fingerprint {
		t.Errorf("the backup has %q and %+v", &database, b.Manifest)
	}
	manifest := b.Manifest
	for at := 2; at < out.Len(); at++ {
		changed := bytes.Clone(out.Bytes())
		changed[at] ^= 1 << (at % 8)
		for what, file := range map[string][]byte{"cut": changed[:at], "changed": changed} {
			database.Reset()
			b, err := Open(bytes.NewReader(file), nil)
			if err == nil {
				_, err = b.WriteTo(&database)
			}
			// A few bits say nothing: the time in gzip's header, and those that fill the last
			// byte of compressed data. A change to them must leave the contents as they were.
			if err == nil && (what == "cut" || database.String() != "database" || !reflect.DeepEqual(b.Manifest, manifest)) {
				t.Errorf("%s at %d: no error, and the backup has %q and %+v", what, at, &database, b.Manifest)
			}
		}
	}
	id := newIdentity(t)
	encrypted, _ := write(t, "dump", nil, id)
	if _, err := Open(bytes.NewReader(encrypted), nil); err == nil || !strings.Contains(err.Error(), "--identity") {
		t.Errorf("an encrypted backup without an identity: %v", err)
	}
}

func short(k Key) string { return k.Fingerprint[:12] }

func TestSaveKeepsTheNewest(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "backups [1]") // a bracket has a meaning in patterns
	testenv.Must(t, os.Mkdir(dir, 0o700))
	d := Dir{dir, "farm.node"}
	others := []string{"farm.node-2-20260101T000000Z.tar.gz.age", "notes.txt", "farm.node-20260101T000000Z.tar.gz.age.old"}
	for _, name := range others {
		testenv.Must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	stale := filepath.Join(dir, ".farm.node-1.part")
	testenv.Must(t, os.WriteFile(stale, nil, 0o600))
	testenv.Must(t, os.Chtimes(stale, made.Add(-48*time.Hour), made.Add(-48*time.Hour)))
	save := func(minute int, err error) ([]string, error) {
		_, deleted, failed := d.Save(made.Add(time.Duration(minute)*time.Minute), 2, 4, true, func(w io.Writer) error {
			fmt.Fprint(w, "data")
			return err
		})
		return deleted, failed
	}
	for minute, want := range [][]string{nil, nil, {"farm.node-20260102T030405Z.tar.gz.age"}} {
		if deleted, err := save(minute, nil); err != nil || !slices.Equal(deleted, want) {
			t.Errorf("backup %d: deleted %v, %v, want %v", minute, deleted, err, want)
		}
	}
	if deleted, err := save(3, errors.New("disk full")); err == nil || deleted != nil {
		t.Errorf("a backup that fails deletes %v, %v", deleted, err)
	}
	if _, err := save(2, nil); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("a backup of the same time: %v", err)
	}
	want := []string{"farm.node-20260102T030605Z.tar.gz.age", "farm.node-20260102T030505Z.tar.gz.age"}
	if got, err := d.List(); err != nil || !slices.Equal(got, want) {
		t.Errorf("the backups are %v, %v, want %v", got, err, want)
	}
	entries, err := os.ReadDir(dir)
	testenv.Must(t, err)
	if len(entries) != len(want)+len(others) {
		t.Errorf("the directory has %v", entries)
	}
}

func TestSaveNeedsRoom(t *testing.T) {
	t.Parallel()
	d := Dir{t.TempDir(), "farm.node"}
	write := func(io.Writer) error { return nil }
	if _, _, err := d.Save(made, 2, 1<<60, true, write); err == nil || !strings.Contains(err.Error(), "a backup needs up to 1.0 EiB (the dump has this size)") {
		t.Errorf("a dump of 1 EiB: %v", err)
	}
	if _, _, err := d.Save(made, 2, 1, true, write); err != nil {
		t.Error(err)
	}
	if _, _, err := d.Save(made.Add(time.Minute), 2, 1<<60, true, write); err != nil {
		t.Errorf("the last backup was small: %v", err)
	}
}

func TestCheckDump(t *testing.T) {
	t.Parallel()
	for content, good := range map[string]bool{
		"INSERT;\n-- Dump completed on 2026-01-02\n":                    true,
		"-- Dump completed\n" + strings.Repeat("INSERT INTO t;\n", 100): false,
		"": false,
	} {
		path := filepath.Join(t.TempDir(), "dump.sql")
		testenv.Must(t, os.WriteFile(path, []byte(content), 0o600))
		file, err := os.Open(path)
		testenv.Must(t, err)
		if size, err := CheckDump(file); (err == nil) != good || good && size != int64(len(content)) {
			t.Errorf("%.40q: %d, %v", content, size, err)
		}
		file.Close()
	}
}
