package farmer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat/filestream"
)

func testDisk(t *testing.T) *disk {
	t.Helper()
	d, err := openDisk(t.TempDir(), true)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func testRecord(t *testing.T, seed string, size int64) record {
	t.Helper()
	sum, err := filestream.Hash(t.Context(), seed, size)
	if err != nil {
		t.Fatal(err)
	}
	return record{FileHash: hex.EncodeToString(sum[:]), Seed: seed, Size: size}
}

func TestDiskKeepsContracts(t *testing.T) {
	t.Parallel()
	d := testDisk(t)
	for _, size := range []int64{0, 1, 1 << 20} {
		r, err := d.add(testRecord(t, "seed", size), []byte("tag"))
		if err != nil {
			t.Fatal(err)
		}
		check(t, "file exists before writeFile", d.hasFile(r), false)
		if err := d.writeFile(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		check(t, "file exists after writeFile", d.hasFile(r), true)
		content, err := os.ReadFile(filepath.Join(r.dir, fileName))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(content)
		check(t, "hash on disk", hex.EncodeToString(sum[:]), r.FileHash)
		tag, err := os.ReadFile(filepath.Join(r.dir, tagName))
		if err != nil || !bytes.Equal(tag, []byte("tag")) {
			t.Errorf("tag: %q, %v", tag, err)
		}
	}
	records, err := d.records()
	if err != nil || len(records) != 3 {
		t.Fatalf("records: %v, %v", records, err)
	}
	for _, r := range records {
		if err := d.remove(r); err != nil {
			t.Error(err)
		}
	}
	left, err := os.ReadDir(filepath.Join(d.dir, contractsName))
	if err != nil || len(left) != 0 {
		t.Errorf("directories after remove: %v, %v", left, err)
	}
}

func TestDiskWritesNoPartialFile(t *testing.T) {
	t.Parallel()
	d := testDisk(t)
	wrong := testRecord(t, "seed", 100)
	wrong.Seed = "another"
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name string
		ctx  context.Context
		r    record
		want error
	}{
		{"wrong content", t.Context(), wrong, errContent},
		{"interrupted", canceled, testRecord(t, "seed", 100), context.Canceled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := d.add(tt.r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := d.writeFile(tt.ctx, r); !errors.Is(err, tt.want) {
				t.Errorf("writeFile: %v, want %v", err, tt.want)
			}
			names, err := os.ReadDir(r.dir)
			if err != nil || len(names) != 2 { // the record and the tag
				t.Errorf("files in the directory: %v, %v", names, err)
			}
		})
	}
}

func TestDiskRemovesIncompleteContracts(t *testing.T) {
	t.Parallel()
	d := testDisk(t)
	complete, err := d.add(testRecord(t, "seed", 10), []byte("tag"))
	if err != nil {
		t.Fatal(err)
	}
	incomplete := filepath.Join(d.dir, contractsName, "incomplete")
	if err := os.Mkdir(incomplete, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{tagName, fileName, recordName + ".part-1"} {
		if err := os.WriteFile(filepath.Join(incomplete, name), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	records, err := d.records()
	if err != nil || len(records) != 1 || records[0].dir != complete.dir {
		t.Errorf("records: %v, %v", records, err)
	}
	if _, err := os.Stat(incomplete); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the incomplete contract still exists: %v", err)
	}
}

func TestDiskIdentity(t *testing.T) {
	t.Parallel()
	d := testDisk(t)
	if id, err := d.identity(); id != nil || err != nil {
		t.Errorf("identity before a token: %v, %v", id, err)
	}
	want := identity{Address: address, Token: "token"}
	if err := d.setIdentity(want); err != nil {
		t.Fatal(err)
	}
	if id, err := d.identity(); err != nil || *id != want {
		t.Errorf("identity: %v, %v", id, err)
	}
	info, err := os.Stat(filepath.Join(d.dir, identityName))
	if err != nil {
		t.Fatal(err)
	}
	check(t, "others can read the token", info.Mode().Perm()&0o077, os.FileMode(0))
}
