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

func testShelf(t *testing.T) *shelf {
	t.Helper()
	s, err := openShelf(t.TempDir(), true)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func testRecord(t *testing.T, seed string, size int64) record {
	t.Helper()
	sum, err := filestream.Hash(t.Context(), seed, size)
	if err != nil {
		t.Fatal(err)
	}
	return record{FileHash: hex.EncodeToString(sum[:]), Seed: seed, Size: size}
}

func TestShelfKeepsContracts(t *testing.T) {
	t.Parallel()
	s := testShelf(t)
	for _, size := range []int64{0, 1, 1 << 20} {
		r, err := s.add(testRecord(t, "seed", size), []byte("tag"))
		if err != nil {
			t.Fatal(err)
		}
		check(t, "file before it is written", s.hasFile(r), false)
		if err := s.writeFile(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		check(t, "file after", s.hasFile(r), true)
		content, err := os.ReadFile(filepath.Join(r.dir, fileName))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(content)
		check(t, "hash on disk", hex.EncodeToString(sum[:]), r.FileHash)
		tag, err := s.tag(r)
		if err != nil || !bytes.Equal(tag, []byte("tag")) {
			t.Errorf("tag: %q, %v", tag, err)
		}
	}
	records, err := s.records()
	if err != nil || len(records) != 3 {
		t.Fatalf("records: %v, %v", records, err)
	}
	for _, r := range records {
		if err := s.remove(r); err != nil {
			t.Error(err)
		}
	}
	left, err := os.ReadDir(filepath.Join(s.dir, contractsName))
	if err != nil || len(left) != 0 {
		t.Errorf("left after removal: %v, %v", left, err)
	}
}

func TestShelfWritesNoFileInPart(t *testing.T) {
	t.Parallel()
	s := testShelf(t)
	wrong := testRecord(t, "seed", 100)
	wrong.Seed = "another"
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name string
		ctx  context.Context
		r    record
		want error
	}{
		{"wrong content", t.Context(), wrong, errContent},
		{"interrupted", ended, testRecord(t, "seed", 100), context.Canceled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := s.add(tt.r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.writeFile(tt.ctx, r); !errors.Is(err, tt.want) {
				t.Errorf("writeFile: %v, want %v", err, tt.want)
			}
			names, err := os.ReadDir(r.dir)
			if err != nil || len(names) != 2 { // record and tag
				t.Errorf("left in the directory: %v, %v", names, err)
			}
		})
	}
}

func TestShelfClearsAwayWhatACrashLeaves(t *testing.T) {
	t.Parallel()
	s := testShelf(t)
	whole, err := s.add(testRecord(t, "seed", 10), []byte("tag"))
	if err != nil {
		t.Fatal(err)
	}
	torn := filepath.Join(s.dir, contractsName, "torn")
	if err := os.Mkdir(torn, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{tagName, fileName, recordName + ".part-1"} {
		if err := os.WriteFile(filepath.Join(torn, name), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	records, err := s.records()
	if err != nil || len(records) != 1 || records[0].dir != whole.dir {
		t.Errorf("records: %v, %v", records, err)
	}
	if _, err := os.Stat(torn); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the torn contract is still there: %v", err)
	}
}

func TestShelfMembership(t *testing.T) {
	t.Parallel()
	s := testShelf(t)
	if m, err := s.membership(); m != nil || err != nil {
		t.Errorf("membership of a newcomer: %v, %v", m, err)
	}
	want := membership{Address: address, Token: "token"}
	if err := s.setMembership(want); err != nil {
		t.Fatal(err)
	}
	if m, err := s.membership(); err != nil || *m != want {
		t.Errorf("membership: %v, %v", m, err)
	}
	info, err := os.Stat(filepath.Join(s.dir, membershipName))
	if err != nil {
		t.Fatal(err)
	}
	check(t, "others can read the token", info.Mode().Perm()&0o077, os.FileMode(0))
}
