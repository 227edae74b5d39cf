package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gorm.io/gorm"
)

// The drivers that Options.Driver names.
const (
	MySQL  = "mysql" // MySQL 8, or MariaDB from 10.6 on
	SQLite = "sqlite"
)

// Options say which database to use and how.
type Options struct {
	Driver string
	DSN    string // for MySQL, as go-sql-driver/mysql reads it
	Path   string // for SQLite: a file

	// MaxOpen and MaxIdle bound the connections to MySQL; 0 means 16, and as
	// many idle as open. MaxLifetime is how long one is used; 0 means 5 min,
	// so that load balancers and failovers are followed.
	MaxOpen, MaxIdle int
	MaxLifetime      time.Duration

	// Logger gets slow statements and failures; nil means slog.Default().
	// Values are never logged, statements are.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.MaxOpen == 0 {
		o.MaxOpen = 16
	}
	if o.MaxIdle == 0 {
		o.MaxIdle = o.MaxOpen
	}
	if o.MaxLifetime == 0 {
		o.MaxLifetime = 5 * time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Store is a node's records. It is safe for concurrent use.
type Store struct {
	opt         Options
	dialect     dialect
	write, read *gorm.DB // one pool for MySQL, two for SQLite
}

// Open opens the database. It makes no tables: see Migrate. With MySQL it does
// not wait for the server either: see Ping.
func Open(_ context.Context, opt Options) (s *Store, err error) {
	defer wrap(&err, "open store")
	s = &Store{opt: opt.withDefaults()}
	switch opt.Driver {
	case MySQL:
		s.dialect = mysqlDialect
		s.write, s.read, err = openMySQL(s.opt)
	case SQLite:
		s.dialect = sqliteDialect
		s.write, s.read, err = openSQLite(s.opt)
	default:
		err = fmt.Errorf("driver %q: must be %s or %s", opt.Driver, MySQL, SQLite)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Close ends all connections.
func (s *Store) Close() error {
	err := closePool(s.write)
	if s.read != s.write {
		err = errors.Join(err, closePool(s.read))
	}
	return err
}

// Ping says whether the database answers.
func (s *Store) Ping(ctx context.Context) (err error) {
	defer wrap(&err, "ping")
	pool, err := s.read.DB()
	if err != nil {
		return err
	}
	return pool.PingContext(ctx)
}

func closePool(db *gorm.DB) error {
	pool, err := db.DB()
	if err != nil {
		return err
	}
	return pool.Close()
}
