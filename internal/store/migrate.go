package store

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/driveshare/downstream-node/internal/store/migrations"
)

const versionTable = "goose_db_version" // goose's default

// Migrate brings the tables to the version that this program needs. If several
// processes call it, the migrations run one after the other.
func (s *Store) Migrate(ctx context.Context) (err error) {
	defer wrap(&err, "migrate")
	return s.migrate(ctx, func(p *goose.Provider) error {
		_, err := p.Up(ctx)
		return err
	})
}

// MigrateDown takes the tables back to the given version. Version 0 deletes all
// tables. The data of later versions is lost.
func (s *Store) MigrateDown(ctx context.Context, version int64) (err error) {
	defer wrap(&err, "migrate down to version %d", version)
	return s.migrate(ctx, func(p *goose.Provider) error {
		_, err := p.DownTo(ctx, version)
		return err
	})
}

// SchemaVersion returns the version of the tables and the version that this program
// needs. have is 0 if there are no tables. SchemaVersion writes nothing.
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
		return 0, want, err // HasTable would return false on an error
	}
	if !db.Migrator().HasTable(versionTable) {
		return 0, want, nil
	}
	err = db.Raw("SELECT COALESCE(MAX(version_id), 0) FROM " + versionTable).Scan(&have).Error
	return have, want, err
}

// migrate calls do with goose's provider. With MySQL, it holds a lock so that no
// other process migrates at the same time.
func (s *Store) migrate(ctx context.Context, do func(*goose.Provider) error) error {
	if s.cfg.Driver == SQLite {
		return s.migrateSQLite(ctx, do)
	}
	if err := s.checkForMigration(ctx); err != nil {
		return err
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

// migrateSQLite has no lock that spans several transactions, but each migration is
// one transaction. If two processes migrate, one of them fails at the first table.
// It then tries again and finds that the other process has done the work.
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
	files, err := fs.Sub(migrations.FS, s.dialect.name)
	if err != nil {
		return nil, err
	}
	dialect := goose.DialectMySQL
	if s.cfg.Driver == SQLite {
		dialect = goose.DialectSQLite3
	}
	return goose.NewProvider(dialect, pool, files, append(options, goose.WithDisableGlobalRegistry(true))...)
}

// openForMigration opens a pool without timeouts, because changes of large tables
// are slow.
func (s *Store) openForMigration() (*sql.DB, error) {
	configs, err := mysqlConfigs(s.cfg, s.log)
	if err != nil {
		return nil, err
	}
	for _, cfg := range configs {
		cfg.ReadTimeout, cfg.WriteTimeout = 0, 0
	}
	connector, err := newServers(configs, s.log)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// namedLock uses MySQL's GET_LOCK to exclude other migrations of the same database.
// The server releases the lock when the connection ends.
type namedLock struct{}

// lockName contains the name of the database, because locks are shared by the whole
// server. The database name is hashed, because a lock's name has at most 64
// characters.
const lockName = "CONCAT('downstream.migrate.', MD5(DATABASE()))"

// SessionLock waits for the lock until ctx ends.
func (namedLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	const seconds = 5 // how long to wait before ctx is checked again
	for {
		var got sql.NullInt64
		err := conn.QueryRowContext(ctx, "SELECT GET_LOCK("+lockName+", ?)", seconds).Scan(&got)
		switch {
		case err != nil:
			return err
		case !got.Valid:
			return errors.New("wait for the migration lock: GET_LOCK returned NULL")
		case got.Int64 == 1:
			return nil
		}
	}
}

// SessionUnlock releases the lock.
func (namedLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "DO RELEASE_LOCK("+lockName+")")
	return err
}
