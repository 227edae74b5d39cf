package store

import (
	"context"
	"sync"
	"testing"
)

func TestMigrate(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		tables := func() int {
			names, err := f.read.Migrator().GetTables()
			must(t, err)
			return len(names)
		}
		version := func(wantHave int64) {
			t.Helper()
			have, want, err := f.SchemaVersion(t.Context())
			must(t, err)
			if have != wantHave || want < 1 {
				t.Fatalf("version %d of %d, want %d", have, want, wantHave)
			}
		}
		_, latest, err := f.SchemaVersion(t.Context())
		must(t, err)
		version(latest)
		full := tables()
		must(t, f.MigrateDown(t.Context(), 0))
		version(0)
		if n := tables(); n > 2 { // more than the tables of goose and SQLite
			t.Errorf("%d tables after migrating down", n)
		}
		must(t, f.Migrate(t.Context()))
		must(t, f.Migrate(t.Context()))
		version(latest)
		if n := tables(); n != full {
			t.Errorf("%d tables after migrating down and up again, %d before", n, full)
		}
	})
}

func TestConcurrentMigrations(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		must(t, f.MigrateDown(t.Context(), 0))
		stores := []*Store{f.Store, openStore(t, f.cfg), openStore(t, f.cfg)}
		ctx := context.WithoutCancel(t.Context())
		var wg sync.WaitGroup
		for _, s := range stores {
			wg.Go(func() {
				if err := s.Migrate(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		have, want, err := f.SchemaVersion(t.Context())
		must(t, err)
		if have != want {
			t.Errorf("version %d, want %d", have, want)
		}
	})
}
