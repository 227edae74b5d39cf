package geo

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// cityOf returns the city that r finds for knownAddr, or "" if it finds none.
func cityOf(r *Reader) string {
	if l := r.Lookup(knownAddr); l != nil {
		return l.City
	}
	return ""
}

// replace replaces the file at path in one step.
func replace(t testing.TB, path string, content []byte) {
	t.Helper()
	write(t, path+".new", content)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestReload(t *testing.T) {
	t.Parallel()
	london, paris := cityDatabase(t, "London"), cityDatabase(t, "Paris!")
	if len(london) != len(paris) {
		t.Fatal("the databases differ in size; the steps below need the same size")
	}
	path := filepath.Join(t.TempDir(), "city.mmdb")
	var logged bytes.Buffer
	r := newReader(path, slog.New(slog.NewTextHandler(&logged, nil)))
	steps := []struct {
		name   string
		change func()
		city   string // the city that a lookup finds after the change
		log    string // the text that is logged once after the change; "" if nothing is logged
	}{
		{"absent", func() {}, "", "no such file"},
		{"still absent", func() {}, "", ""},
		{"created", func() { write(t, path, london) }, "London", "location database opened"},
		{"unchanged", func() {}, "London", ""},
		{"replaced by one of the same size", func() { replace(t, path, paris) }, "Paris!", "location database opened"},
		{"overwritten", func() { overwrite(t, path, london) }, "London", "location database opened"},
		{"broken", func() { replace(t, path, london[:len(london)/2]) }, "London", "keeping=true"},
		{"still broken", func() {}, "London", ""},
		{"broken in another way", func() { replace(t, path, nil) }, "London", ""},
		{"removed", func() { remove(t, path) }, "London", "no such file"},
		{"created again", func() { write(t, path, paris) }, "Paris!", "location database opened"},
	}
	for _, step := range steps {
		logged.Reset()
		step.change()
		r.reload()
		r.reload() // must log nothing more
		if got := cityOf(r); got != step.city {
			t.Errorf("%s: the city is %q, want %q", step.name, got, step.city)
		}
		lines := strings.Count(logged.String(), "\n")
		if step.log == "" && lines > 0 || step.log != "" && (lines != 1 || !strings.Contains(logged.String(), step.log)) {
			t.Errorf("%s: logged %q, want %q", step.name, logged.String(), step.log)
		}
	}
}

// overwrite writes into the file at path and sets a later time, because the
// clock of the file system may be too coarse to show the change.
func overwrite(t testing.TB, path string, content []byte) {
	t.Helper()
	write(t, path, content)
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
}

func remove(t testing.TB, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// TestReloadConfigMap changes the file as the kubelet does: the path contains a
// symbolic link to a directory, and the test replaces the link.
func TestReloadConfigMap(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	publish := func(version, city string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, version, "city.mmdb"), cityDatabase(t, city))
		if err := os.Symlink(version, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "city.mmdb")
	if err := os.Symlink(filepath.Join("..data", "city.mmdb"), path); err != nil {
		t.Fatal(err)
	}
	r := newReader(path, slog.New(slog.DiscardHandler))
	for version, city := range []string{"London", "Paris!", "London"} {
		publish("..v"+string(rune('0'+version)), city)
		r.reload()
		if got := cityOf(r); got != city {
			t.Errorf("version %d: the city is %q, want %q", version, got, city)
		}
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "city.mmdb")
		write(t, path, cityDatabase(t, "London"))
		r := Open(Config{path, time.Minute}, slog.New(slog.DiscardHandler))
		defer r.Close() // synctest fails if the goroutine does not end
		replace(t, path, cityDatabase(t, "Paris!"))
		time.Sleep(time.Minute - time.Nanosecond)
		synctest.Wait()
		if got := cityOf(r); got != "London" {
			t.Errorf("before the end of the interval the city is %q", got)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if got := cityOf(r); got != "Paris!" {
			t.Errorf("after the interval the city is %q", got)
		}
	})
}

// TestLookupWhileReloading checks that every lookup uses one of the two databases.
// The race detector also finds unsafe accesses in it.
func TestLookupWhileReloading(t *testing.T) {
	t.Parallel()
	cities := []string{"London", "Paris!"}
	contents := [][]byte{cityDatabase(t, cities[0]), cityDatabase(t, cities[1])}
	path := filepath.Join(t.TempDir(), "city.mmdb")
	write(t, path, contents[0])
	r := newReader(path, slog.New(slog.DiscardHandler))
	r.reload()

	var lookups sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		lookups.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if got := cityOf(r); got != cities[0] && got != cities[1] {
					t.Errorf("the city is %q", got)
					return
				}
			}
		})
	}
	for i := range 30 {
		replace(t, path, contents[i%2])
		r.reload()
		if got, want := cityOf(r), cities[i%2]; got != want {
			t.Errorf("after reload %d the city is %q, want %q", i, got, want)
		}
	}
	close(done)
	lookups.Wait()
}

// FuzzOpen checks that no file content causes a panic.
func FuzzOpen(f *testing.F) {
	small := cityDatabase(f, "London")
	f.Add(small)
	f.Add(small[:len(small)/2])
	f.Add([]byte("\xab\xcd\xefMaxMind.com"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, content []byte) {
		db, err := open(content)
		if err != nil {
			return
		}
		r := newReader("", slog.New(slog.DiscardHandler))
		r.current.Store(db)
		r.Lookup(knownAddr)
	})
}
