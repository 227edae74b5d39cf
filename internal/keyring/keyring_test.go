package keyring

import (
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
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

// newKey returns a key with a unique public part, so that no other key replaces it.
func newKey(t *testing.T) heartbeat.Heartbeat {
	t.Helper()
	hb, err := schemes.New(heartbeat.Merkle, new(rand.Float64()))
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
		ring, err := New(t.Context(), st, nil, []heartbeat.Heartbeat{one, two}, nil, now)
		must(t, err)
		if all := ring.All(); len(all) != 2 || all[0].ID != ring.Current().ID || all[0].ID == all[1].ID {
			t.Errorf("keys %+v, the current one %d", all, ring.Current().ID)
		}
		first, err := ring.Key(ring.Current().ID)
		must(t, err)
		if first.Fingerprint != schemes.Fingerprint(one) {
			t.Error("the current key is not the first key")
		}
		if _, err := ring.Key(1000); err == nil {
			t.Error("found a key that was not registered")
		}
		// The same keys in another order keep their ids. New tokens get the new
		// first key.
		reordered, err := New(t.Context(), st, nil, []heartbeat.Heartbeat{two, one}, nil, now)
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
		ring, err := New(t.Context(), st, nil, []heartbeat.Heartbeat{one, two}, nil, now)
		must(t, err)
		old := ring.Current().ID
		must(t, st.MigrateDown(t.Context(), 0)) // the restored database has no keys
		must(t, st.Migrate(t.Context()))
		_, err = New(t.Context(), st, nil, []heartbeat.Heartbeat{two}, nil, now) // another process was first
		must(t, err)
		must(t, ring.Renew(t.Context(), st, now))
		if id := ring.Current().ID; id == old || ring.Current().Fingerprint != schemes.Fingerprint(one) {
			t.Errorf("the current key has the id %d, before %d", id, old)
		}
		if key, err := ring.Key(old); err != nil || key.Fingerprint != schemes.Fingerprint(two) {
			t.Errorf("the first id is now that of %v, %v", key, err)
		}
		_, err = New(t.Context(), st, nil, []heartbeat.Heartbeat{one, two, newKey(t)}, nil, now)
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
		_, err := New(t.Context(), st, nil, []heartbeat.Heartbeat{one}, nil, now)
		must(t, err)
		if _, err := New(t.Context(), st, nil, []heartbeat.Heartbeat{two}, nil, now); !errors.Is(err, store.ErrKeyMissing) {
			t.Errorf("%v, want ErrKeyMissing", err)
		}
		_, err = New(t.Context(), st, nil, []heartbeat.Heartbeat{two, one}, nil, now)
		must(t, err)
		if _, err := New(t.Context(), st, nil, nil, nil, now); err == nil || !strings.Contains(err.Error(), "heartbeat.keyFiles") {
			t.Errorf("no keys: %v", err)
		}
	})
}

// A file that was copied must not replace its own key.
func TestKeyGivenTwice(t *testing.T) {
	onEach(t, func(t *testing.T, st *store.Store) {
		one, two := newKey(t), newKey(t)
		for _, keys := range [][]heartbeat.Heartbeat{{one, one}, {one, two, one}, {two, one, two, one}} {
			ring, err := New(t.Context(), st, st.NewProcess("process", store.KindAPI), keys, nil, now)
			must(t, err)
			must(t, ring.Refresh(t.Context(), st, now))
			if n := len(ring.All()); n > 2 || ring.Current().State() != store.KeyActive || ring.Current().Fingerprint != schemes.Fingerprint(keys[0]) {
				t.Errorf("%d keys, the current one %+v", n, ring.Current().KeyRecord)
			}
		}
		known, err := st.Keys(t.Context())
		must(t, err)
		for _, k := range known {
			if k.Successor != 0 {
				t.Errorf("the key %d has the successor %d", k.ID, k.Successor)
			}
		}
	})
}

// A process learns from the database that a key was replaced. If the old key is compromised,
// its Merkle files have no more challenges.
func TestRefresh(t *testing.T) {
	for _, scheme := range []heartbeat.Type{heartbeat.Merkle, heartbeat.Swizzle} {
		t.Run(string(scheme), func(t *testing.T) {
			onEach(t, func(t *testing.T, st *store.Store) { testRefresh(t, st, scheme) })
		})
	}
}

func testRefresh(t *testing.T, st *store.Store, scheme heartbeat.Type) {
	old, err := schemes.New(scheme, nil)
	must(t, err)
	next, err := schemes.Renew(old)
	must(t, err)
	one, two := st.NewProcess("one", store.KindAPI), st.NewProcess("two", store.KindWorker)
	_, err = New(t.Context(), st, one, []heartbeat.Heartbeat{old}, nil, now)
	must(t, err)
	ring, err := New(t.Context(), st, two, []heartbeat.Heartbeat{next, old}, nil, now)
	must(t, err)
	current := func(want heartbeat.Heartbeat) {
		t.Helper()
		must(t, ring.Refresh(t.Context(), st, now))
		if got := ring.Current(); got.Fingerprint != schemes.Fingerprint(want) {
			t.Fatalf("the current key is %.12s, which is %s", got.Fingerprint, got.State())
		}
	}
	current(old) // the first process lacks the new key
	_, err = New(t.Context(), st, one, []heartbeat.Heartbeat{next, old}, nil, now)
	must(t, err)
	current(next)
	state, err := old.Encode(t.Context(), strings.NewReader(strings.Repeat("content", 1000)), 7000, io.Discard, heartbeat.EncodeOptions{})
	must(t, err)
	challenge := func() error {
		t.Helper()
		must(t, ring.Refresh(t.Context(), st, now))
		_, _, err := ring.All()[1].Challenge(state)
		return err
	}
	must(t, challenge())
	must(t, st.Compromise(t.Context(), []int64{ring.All()[1].ID}))
	if err, want := challenge(), !schemes.Resealable(scheme); errors.Is(err, heartbeat.ErrNoMoreChallenges) != want {
		t.Errorf("a challenge of the replaced key: %v", err)
	}
	// The configuration can say so too.
	ring, err = New(t.Context(), st, two, []heartbeat.Heartbeat{next, old}, []string{schemes.Fingerprint(next)[:12]}, now)
	must(t, err)
	if !ring.All()[0].Compromised {
		t.Error("the configured key is not compromised")
	}
	if _, _, err := ring.All()[0].Challenge(state); errors.Is(err, heartbeat.ErrNoMoreChallenges) {
		t.Error("a compromised key without a successor has no challenges, so farmers would get nothing")
	}
}

// A key may be replaced, and even be retired, before the key that it replaces.
func TestSuccessorOfASuccessor(t *testing.T) {
	onEach(t, func(t *testing.T, st *store.Store) {
		first := newKey(t)
		second, err := schemes.Renew(first)
		must(t, err)
		third, err := schemes.Renew(second)
		must(t, err)
		process := st.NewProcess("process", store.KindAPI)
		var ring *Ring
		for _, keys := range [][]heartbeat.Heartbeat{{first}, {second, first}, {third, second, first}} {
			ring, err = New(t.Context(), st, process, keys, nil, now)
			must(t, err)
		}
		_, err = st.ReplaceKey(t.Context(), store.Replacement{Old: ring.All()[1].ID, New: ring.All()[0].ID}, now)
		must(t, err) // nothing refers to the second key, so it is retired
		ring, err = New(t.Context(), st, process, []heartbeat.Heartbeat{third, first}, nil, now)
		must(t, err)
		old := ring.All()[1]
		if got, err := ring.Successor(old); err != nil || got.ID != ring.All()[0].ID || old.Successor == got.ID {
			t.Errorf("the successor of %+v is %+v, %v", old.KeyRecord, got.KeyRecord, err)
		}
	})
}

func TestRotate(t *testing.T) {
	t.Parallel()
	for _, scheme := range []heartbeat.Type{heartbeat.Merkle, heartbeat.Swizzle} {
		dir := t.TempDir()
		first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
		old, err := LoadOrCreate(first, scheme, 0.25)
		must(t, err)
		print, err := Rotate(first, second)
		must(t, err)
		keys, err := Load([]string{second})
		must(t, err)
		if print == schemes.Fingerprint(old) || print != schemes.Fingerprint(keys[0]) || string(keys[0].Public()) != string(old.Public()) {
			t.Errorf("%s: the new key is %.12s, public part %s", scheme, print, keys[0].Public())
		}
		if _, err := Rotate(first, second); err == nil {
			t.Errorf("%s: replaced a key file", scheme)
		}
		for _, key := range []struct{ print, file string }{{print, second}, {schemes.Fingerprint(old), first}, {"none", ""}} {
			if file, err := FileOf([]string{second, first}, key.print); err != nil || file != key.file {
				t.Errorf("%s: the key %.12s is in %q, %v", scheme, key.print, file, err)
			}
		}
	}
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

// The target must reach the keys that issue challenges and encode files.
func TestLoadWithADetectionTarget(t *testing.T) {
	t.Parallel()
	var paths []string
	for _, scheme := range []heartbeat.Type{heartbeat.Merkle, heartbeat.Swizzle} {
		path := filepath.Join(t.TempDir(), "key")
		_, err := LoadOrCreate(path, scheme, 0.01)
		must(t, err)
		paths = append(paths, path)
	}
	c := Config{KeyFiles: paths}
	for _, tt := range []struct {
		within     time.Duration
		challenges int
	}{{time.Hour, 12}, {time.Minute, 1}, {0, 0}} {
		if tt.within > 0 {
			c.Detection = DetectionConfig{Lost: 0.01, Within: tt.within, Probability: 0.99}
		} else {
			c.Detection = DetectionConfig{}
		}
		heartbeats, err := c.Load(5 * time.Minute)
		must(t, err)
		for _, hb := range heartbeats {
			got := hb.Detection(1<<20, 0.01, max(tt.challenges, 1), heartbeat.EncodeOptions{})
			if reached := got >= 0.99; reached != c.Detection.Set() {
				t.Errorf("%s with %+v detects %.3f after %d challenges", hb.Type(), c.Detection, got, tt.challenges)
			}
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
