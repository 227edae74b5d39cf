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

// cityOf returns the city that r knows for someone, empty if it knows none.
func cityOf(r *Reader) string {
	if l := r.Lookup(someone); l != nil {
		return l.City
	}
	return ""
}

// replace puts content in the place of the file at path in one step.
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
		t.Fatal("the databases differ in size; the steps below want them not to")
	}
	path := filepath.Join(t.TempDir(), "city.mmdb")
	var logged bytes.Buffer
	r := newReader(path, slog.New(slog.NewTextHandler(&logged, nil)))
	steps := []struct {
		name   string
		change func()
		city   string // that is known from then on
		log    string // that the change causes, once; empty for silence
	}{
		{"absent", func() {}, "", "no such file"},
		{"still absent", func() {}, "", ""},
		{"made", func() { write(t, path, london) }, "London", "location database opened"},
		{"unchanged", func() {}, "London", ""},
		{"replaced by one as large", func() { replace(t, path, paris) }, "Paris!", "location database opened"},
		{"written over", func() { overwrite(t, path, london) }, "London", "location database opened"},
		{"broken", func() { replace(t, path, london[:len(london)/2]) }, "London", "keeping=true"},
		{"still broken", func() {}, "London", ""},
		{"broken anew", func() { replace(t, path, nil) }, "London", ""},
		{"gone", func() { remove(t, path) }, "London", "no such file"},
		{"back", func() { write(t, path, paris) }, "Paris!", "location database opened"},
	}
	for _, step := range steps {
		logged.Reset()
		step.change()
		r.reload()
		r.reload() // what is told is told once
		if got := cityOf(r); got != step.city {
			t.Errorf("%s: the city is %q, want %q", step.name, got, step.city)
		}
		lines := strings.Count(logged.String(), "\n")
		if step.log == "" && lines > 0 || step.log != "" && (lines != 1 || !strings.Contains(logged.String(), step.log)) {
			t.Errorf("%s: logged %q, want %q", step.name, logged.String(), step.log)
		}
	}
}

// overwrite writes into the file at path and moves its time on, as the clock
// of the file system may be too coarse to.
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

// TestReloadConfigMap changes the file as the kubelet does: the path goes
// through a symbolic link to a directory, and the link is replaced.
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
		r := Open(path, time.Minute, slog.New(slog.DiscardHandler))
		defer r.Close() // the bubble fails where the goroutine is left
		replace(t, path, cityDatabase(t, "Paris!"))
		time.Sleep(time.Minute - time.Nanosecond)
		synctest.Wait()
		if got := cityOf(r); got != "London" {
			t.Errorf("before the interval is over the city is %q", got)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if got := cityOf(r); got != "Paris!" {
			t.Errorf("after the interval the city is %q", got)
		}
	})
}

// TestLookupWhileReloading is for the race detector, and holds that a lookup
// sees one of the databases and never none.
func TestLookupWhileReloading(t *testing.T) {
	t.Parallel()
	cities := []string{"London", "Paris!"}
	contents := [][]byte{cityDatabase(t, cities[0]), cityDatabase(t, cities[1])}
	path := filepath.Join(t.TempDir(), "city.mmdb")
	write(t, path, contents[0])
	r := newReader(path, slog.New(slog.DiscardHandler))
	r.reload()

	var farmers sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		farmers.Go(func() {
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
	farmers.Wait()
}

// FuzzOpen holds that a file that is no database does no more harm than that.
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
		r.Lookup(someone)
	})
}
