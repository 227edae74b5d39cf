package keyring

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/store"
	"github.com/driveshare/downstream-node/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

var must = testenv.Must

func newKey(t *testing.T) heartbeat.Heartbeat {
	t.Helper()
	hb, err := schemes.New(heartbeat.Merkle, nil)
	must(t, err)
	return hb
}

// onEach runs a test on an empty store of each kind.
func onEach(t *testing.T, test func(t *testing.T, st *store.Store)) {
	t.Helper()
	testenv.OnEach(t, []string{store.SQLite, store.MySQL}, func(t *testing.T, driver string) {
		cfg := config.Default[store.Config]()
		cfg.Driver, cfg.Path = driver, filepath.Join(t.TempDir(), "node.db")
		if driver == store.MySQL {
			cfg.DSN = config.Secret(testenv.NewDatabase(t))
		}
		st, err := store.Open(cfg, slog.New(slog.DiscardHandler))
		must(t, err)
		t.Cleanup(func() { st.Close() })
		must(t, st.Migrate(t.Context()))
		test(t, st)
	})
}

func TestRingFindsKeysByID(t *testing.T) {
	onEach(t, func(t *testing.T, st *store.Store) {
		one, two := newKey(t), newKey(t)
		ring, err := New(t.Context(), st, []heartbeat.Heartbeat{one, two}, now)
		must(t, err)
		if all := ring.All(); len(all) != 2 || all[0].ID != ring.Current().ID || all[0].ID == all[1].ID {
			t.Errorf("keys %+v, the current one %d", all, ring.Current().ID)
		}
		first, err := ring.Key(ring.Current().ID)
		must(t, err)
		if schemes.Fingerprint(first) != schemes.Fingerprint(one) {
			t.Error("the current key is not the first key")
		}
		if _, err := ring.Key(1000); err == nil {
			t.Error("found a key that was not registered")
		}
		// The same keys in another order keep their ids. New tokens get the new
		// first key.
		reordered, err := New(t.Context(), st, []heartbeat.Heartbeat{two, one}, now)
		must(t, err)
		if reordered.Current().ID != ring.All()[1].ID || reordered.All()[1].ID != ring.Current().ID {
			t.Errorf("ids %d and %d, before %d and %d", reordered.All()[0].ID, reordered.All()[1].ID, ring.All()[0].ID, ring.All()[1].ID)
		}
	})
}

// A restored database may know a key by another id. The ring must then use that id.
func TestRenew(t *testing.T) {
	onEach(t, func(t *testing.T, st *store.Store) {
		one, two := newKey(t), newKey(t)
		ring, err := New(t.Context(), st, []heartbeat.Heartbeat{one, two}, now)
		must(t, err)
		old := ring.Current().ID
		must(t, st.MigrateDown(t.Context(), 0)) // the restored database has no keys
		must(t, st.Migrate(t.Context()))
		_, err = New(t.Context(), st, []heartbeat.Heartbeat{two}, now) // another process was first
		must(t, err)
		must(t, ring.Renew(t.Context(), st, now))
		if id := ring.Current().ID; id == old || schemes.Fingerprint(ring.Current()) != schemes.Fingerprint(one) {
			t.Errorf("the current key has the id %d, before %d", id, old)
		}
		if key, err := ring.Key(old); err != nil || schemes.Fingerprint(key) != schemes.Fingerprint(two) {
			t.Errorf("the first id is now that of %v, %v", key, err)
		}
		_, err = New(t.Context(), st, []heartbeat.Heartbeat{one, two, newKey(t)}, now)
		must(t, err)
		if err := ring.Renew(t.Context(), st, now); !errors.Is(err, store.ErrKeyMissing) {
			t.Errorf("%v, want ErrKeyMissing", err)
		}
	})
}

// A node must not start without a key that its database knows.
func TestRingWithoutAKnownKeyFails(t *testing.T) {
	onEach(t, func(t *testing.T, st *store.Store) {
		one, two := newKey(t), newKey(t)
		_, err := New(t.Context(), st, []heartbeat.Heartbeat{one}, now)
		must(t, err)
		if _, err := New(t.Context(), st, []heartbeat.Heartbeat{two}, now); !errors.Is(err, store.ErrKeyMissing) {
			t.Errorf("%v, want ErrKeyMissing", err)
		}
		_, err = New(t.Context(), st, []heartbeat.Heartbeat{two, one}, now)
		must(t, err)
		if _, err := New(t.Context(), st, nil, now); err == nil || !strings.Contains(err.Error(), "heartbeat.keyFiles") {
			t.Errorf("no keys: %v", err)
		}
	})
}

func TestLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hb := newKey(t)
	good, public, garbage := filepath.Join(dir, "good"), filepath.Join(dir, "public"), filepath.Join(dir, "garbage")
	marked := filepath.Join(dir, "with a byte order mark")
	must(t, os.WriteFile(good, schemes.MarshalFile(hb), 0o600))
	must(t, os.WriteFile(marked, append([]byte("\xef\xbb\xbf"), schemes.MarshalFile(hb)...), 0o600))
	must(t, os.WriteFile(public, schemes.MarshalPublicFile(hb), 0o600))
	must(t, os.WriteFile(garbage, []byte("garbage"), 0o600))

	loaded, err := Load([]string{good, marked})
	must(t, err)
	if len(loaded) != 2 || schemes.Fingerprint(loaded[1]) != schemes.Fingerprint(hb) {
		t.Errorf("%d keys, the last one is %s", len(loaded), schemes.Fingerprint(loaded[1]))
	}
	for _, bad := range []string{public, garbage, filepath.Join(dir, "none"), dir} {
		if _, err := Load([]string{good, bad}); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestLoadOrCreateNeverReplacesAKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "folders", "with space", "heartbeat.json")
	first, err := LoadOrCreate(path, heartbeat.Merkle, 0.01)
	must(t, err)
	again, err := LoadOrCreate(path, heartbeat.Swizzle, 0.5)
	must(t, err)
	if schemes.Fingerprint(first) != schemes.Fingerprint(again) {
		t.Error("the second call returned another key")
	}
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the file mode is %v, want 0600", info.Mode())
	}
	// A file that is not a key is not replaced.
	must(t, os.WriteFile(path, []byte("garbage"), 0o600))
	if _, err := LoadOrCreate(path, heartbeat.Merkle, 0.01); err == nil {
		t.Error("no error for a broken key file")
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != "garbage" {
		t.Errorf("the file was replaced by %q, %v", content, err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); err != nil || len(left) != 0 {
		t.Errorf("temporary files %v remain, %v", left, err)
	}
}

// Processes that start at the same time must use one key.
func TestLoadOrCreateConcurrently(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "heartbeat.json")
	var starting sync.WaitGroup
	prints := make([]string, 20)
	for i := range prints {
		starting.Go(func() {
			hb, err := LoadOrCreate(path, heartbeat.Merkle, 0.01)
			if err != nil {
				t.Error(err)
				return
			}
			prints[i] = schemes.Fingerprint(hb)
		})
	}
	starting.Wait()
	for _, print := range prints {
		if print != prints[0] {
			t.Fatalf("two keys: %s and %s", print, prints[0])
		}
	}
}

func TestLoadOrCreateFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	if _, err := LoadOrCreate(filepath.Join(file, "heartbeat.json"), heartbeat.Merkle, 0.01); err == nil {
		t.Error("created a key in a folder that is a file")
	}
	if _, err := LoadOrCreate(filepath.Join(dir, "one"), "Rot13", 0.01); err == nil {
		t.Error("created a key of an unknown scheme")
	}
	if _, err := LoadOrCreate(filepath.Join(dir, "two"), heartbeat.Merkle, 2); err == nil {
		t.Error("created a key with a check fraction of 2")
	}
}
