package store

import (
	"context"
	"database/sql"
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

// Store holds a node's records. It is safe for concurrent use.
type Store struct {
	opt         Options
	dialect     dialect
	log         slowLog
	write, read database // the same for MySQL
}

// database is a connection pool, and gorm on top of it. gorm runs single
// statements on models; transactions use the pool, see tx.
type database struct {
	*gorm.DB
	pool *sql.DB
}

// Open opens the database. It creates no tables: see Migrate. With MySQL it does
// not wait for the server either: see Ping.
func Open(_ context.Context, opt Options) (s *Store, err error) {
	defer wrap(&err, "open store")
	opt = opt.withDefaults()
	s = &Store{opt: opt, log: newSlowLog(opt.Logger)}
	switch opt.Driver {
	case MySQL:
		s.dialect = mysqlDialect
		s.write, err = openMySQL(opt)
		s.read = s.write
	case SQLite:
		s.dialect = sqliteDialect
		s.write, s.read, err = openSQLite(opt)
	default:
		err = fmt.Errorf("driver %q: must be %s or %s", opt.Driver, MySQL, SQLite)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Close closes all connections.
func (s *Store) Close() error { return errors.Join(s.write.pool.Close(), s.read.pool.Close()) }

// Ping checks that the database can be reached.
func (s *Store) Ping(ctx context.Context) (err error) {
	defer wrap(&err, "ping")
	return s.read.pool.PingContext(ctx)
}

// dialect holds the SQL and the abilities that differ between the databases.
type dialect struct {
	name string

	// forUpdate locks the rows that a SELECT finds; skipLocked locks only those
	// that are free. SQLite needs neither: it has one writer at a time, which locks the database from its start.
	forUpdate, skipLocked string

	// byID and bySize follow a table's name and choose the index. Without them the database may
	// scan the table, lock in another order, or lock rows that it sorts out later.
	byID, bySize string

	// updateRows limits the rows of one UPDATE; byInterval allows INTERVAL in
	// it, see updateText.
	updateRows int
	byInterval bool

	// joinInOrder joins the table that follows to the one before, and makes the
	// database read them in this order.
	joinInOrder string

	// pipelines reports whether the database accepts several statements at once.
	pipelines bool

	// snapshot lets a transaction that reads see one state of the database, as
	// SQLite's always do.
	snapshot *sql.TxOptions

	// clock is the database's own time, in microseconds since the Unix epoch.
	clock string

	// orLock ends an INSERT that, if a row with this unique key exists, locks
	// that row and leaves it unchanged. INSERT IGNORE would take a shared lock, and two
	// transactions that then write the row would deadlock.
	orLock func(key string) string

	// orSet ends an INSERT that, if a row with this key exists, sets the columns
	// of that row.
	orSet func(key string, columns ...string) string

	// orAdd ends an INSERT that, if a row with this key exists, adds the columns
	// to that row.
	orAdd func(key, sums []string) string
}
