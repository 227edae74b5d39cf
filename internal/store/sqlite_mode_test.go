package store

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/internal/config"
)

// openFile opens a SQLite database in a folder that every user may read, and writes to
// it, so that all files of the database exist.
func openFile(t *testing.T, path string, log *slog.Logger) {
	t.Helper()
	cfg := config.Default[Config]()
	cfg.Driver, cfg.Path = SQLite, path
	st, err := Open(cfg, log)
	must(t, err)
	t.Cleanup(func() { st.Close() })
	must(t, st.Migrate(t.Context()))
}

// wantOwnerOnly fails the test if another user than the owner can use a file of the
// database.
func wantOwnerOnly(t *testing.T, path string) {
	t.Helper()
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v, want 0600", filepath.Base(name), info.Mode())
		}
	}
}

func TestSQLiteFilesBelongToTheOwner(t *testing.T) {
	t.Parallel()
	discard := slog.New(slog.DiscardHandler)
	t.Run("a new database in an open folder", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		must(t, os.Chmod(dir, 0o755))
		path := filepath.Join(dir, "downstream.db")
		openFile(t, path, discard)
		wantOwnerOnly(t, path)
	})
	t.Run("an open database of an earlier version", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "downstream.db")
		must(t, os.WriteFile(path, migratedSQLite(), 0o644))
		must(t, os.Chmod(path, 0o644))
		must(t, os.WriteFile(path+"-wal", nil, 0o644))
		must(t, os.Chmod(path+"-wal", 0o644))
		var log bytes.Buffer
		openFile(t, path, slog.New(slog.NewTextHandler(&log, nil)))
		wantOwnerOnly(t, path)
		if !strings.Contains(log.String(), "only the owner") {
			t.Errorf("the log does not mention the change: %s", log.String())
		}
	})
	t.Run("a database that the owner shares with a group", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "downstream.db")
		must(t, os.WriteFile(path, migratedSQLite(), 0o640))
		must(t, os.Chmod(path, 0o640))
		openFile(t, path, discard)
		info, err := os.Stat(path)
		must(t, err)
		if info.Mode().Perm() != 0o640 {
			t.Errorf("the mode is %v, want 0640", info.Mode())
		}
	})
}
