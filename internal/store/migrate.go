package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/go-sql-driver/mysql"
	"github.com/pressly/goose/v3"
)

//go:embed migrations
var migrations embed.FS

// versionTable is goose's.
const versionTable = "goose_db_version"

// Migrate brings the tables to the version that this program wants. Two that
// do it at once do it one after the other.
func (s *Store) Migrate(ctx context.Context) (err error) {
	defer wrap(&err, "migrate")
	return s.migrate(ctx, func(p *goose.Provider) error {
		_, err := p.Up(ctx)
		return err
	})
}

// MigrateDown takes the tables back to the given version; 0 is no tables at
// all. What the later versions kept is lost.
func (s *Store) MigrateDown(ctx context.Context, version int64) (err error) {
	defer wrap(&err, "migrate down to version %d", version)
	return s.migrate(ctx, func(p *goose.Provider) error {
		_, err := p.DownTo(ctx, version)
		return err
	})
}

// SchemaVersion is the version of the tables, 0 where there are none, and the
// one that this program wants. It writes nothing.
func (s *Store) SchemaVersion(ctx context.Context) (have, want int64, err error) {
	defer wrap(&err, "read schema version")
	p, err := s.provider(s.read.pool)
	if err != nil {
		return 0, 0, err
	}
	for _, source := range p.ListSources() {
		want = max(want, source.Version)
	}
	db := s.read.WithContext(ctx)
	if err := s.read.pool.PingContext(ctx); err != nil {
		return 0, want, err // HasTable takes an error for "no"
	}
	if !db.Migrator().HasTable(versionTable) {
		return 0, want, nil
	}
	err = db.Raw("SELECT COALESCE(MAX(version_id), 0) FROM " + versionTable).Scan(&have).Error
	return have, want, err
}

// migrate runs do on a pool for migrating.
func (s *Store) migrate(ctx context.Context, do func(*goose.Provider) error) error {
	if s.opt.Driver == SQLite {
		return s.migrateSQLite(ctx, do)
	}
	pool, err := s.openForMigration()
	if err != nil {
		return err
	}
	defer pool.Close()
	p, err := s.provider(pool, goose.WithSessionLocker(namedLock{}))
	if err != nil {
		return err
	}
	return do(p)
}

// migrateSQLite has no lock to hold over several transactions. Each migration
// is one, though: the loser of two fails at the first table, and then finds
// the winner's work done.
func (s *Store) migrateSQLite(ctx context.Context, do func(*goose.Provider) error) error {
	p, err := s.provider(s.write.pool)
	if err != nil {
		return err
	}
	for {
		before, _, err := s.SchemaVersion(ctx)
		if err != nil {
			return err
		}
		failed := do(p)
		if failed == nil {
			return nil
		}
		after, _, err := s.SchemaVersion(ctx)
		if err != nil || after == before {
			return failed
		}
	}
}

func (s *Store) provider(pool *sql.DB, options ...goose.ProviderOption) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations/"+s.dialect.name)
	if err != nil {
		return nil, err
	}
	dialect := goose.DialectMySQL
	if s.opt.Driver == SQLite {
		dialect = goose.DialectSQLite3
	}
	return goose.NewProvider(dialect, pool, files, append(options, goose.WithDisableGlobalRegistry(true))...)
}

// openForMigration opens a pool whose statements may take as long as a change
// of a large table takes.
func (s *Store) openForMigration() (*sql.DB, error) {
	cfg, err := mysqlConfig(s.opt.DSN, s.opt.Logger)
	if err != nil {
		return nil, err
	}
	cfg.ReadTimeout, cfg.WriteTimeout = 0, 0
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// namedLock keeps two migrators of one database apart with MySQL's GET_LOCK,
// which the server gives back when the connection ends, however it ends.
type namedLock struct{}

// lockName holds the database's name, since the lock is the whole server's,
// hashed to stay within the 64 characters that a name may have.
const lockName = "CONCAT('downstream.migrate.', MD5(DATABASE()))"

// SessionLock waits for the lock as long as ctx lets it.
func (namedLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	const seconds = 5 // a round of waiting, between looks at ctx
	for {
		var got sql.NullInt64
		err := conn.QueryRowContext(ctx, "SELECT GET_LOCK("+lockName+", ?)", seconds).Scan(&got)
		switch {
		case err != nil:
			return err
		case !got.Valid:
			return fmt.Errorf("GET_LOCK failed")
		case got.Int64 == 1:
			return nil
		}
	}
}

// SessionUnlock gives the lock back.
func (namedLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "DO RELEASE_LOCK("+lockName+")")
	return err
}
