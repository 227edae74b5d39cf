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

// The tables must not depend on the defaults of the database: texts can have any characters, and
// all tables need transactions.
func TestTablesOfADatabaseWithOtherDefaults(t *testing.T) {
	t.Parallel()
	f := newFixture(t, MySQL)
	must(t, f.MigrateDown(t.Context(), 0))
	must(t, f.write.Exec("ALTER DATABASE CHARACTER SET latin1 COLLATE latin1_swedish_ci").Error)
	must(t, f.Migrate(t.Context()))
	check := func() {
		t.Helper()
		for what, query := range map[string]string{
			"table": "SELECT CONCAT(table_name, ' ', engine, ' ', table_collation) FROM information_schema.tables" +
				" WHERE table_schema = DATABASE() AND (engine <> 'InnoDB' OR table_collation <> 'utf8mb4_bin') AND table_name <> ?",
			"column": "SELECT CONCAT(table_name, '.', column_name, ' ', character_set_name) FROM information_schema.columns" +
				" WHERE table_schema = DATABASE() AND character_set_name <> 'utf8mb4' AND table_name <> ?",
		} {
			var wrong []string
			must(t, f.read.Raw(query, versionTable).Scan(&wrong).Error) // goose creates this table, and writes no text
			for _, w := range wrong {
				t.Errorf("%s %s", what, w)
			}
		}
	}
	check()
	must(t, f.MigrateDown(t.Context(), 16))
	must(t, f.write.Exec("ALTER TABLE farmer_events ENGINE = MyISAM").Error)
	must(t, f.Migrate(t.Context()))
	check()
	must(t, f.write.Exec("INSERT INTO farmer_events (token_id, place, number, at, kind, fault_id, detail) VALUES (1, 1, 1, 1, 'suspended', 0, 'слишком много 🙂')").Error)
}
