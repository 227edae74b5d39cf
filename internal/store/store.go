package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"gorm.io/gorm"
)

// The drivers that Config.Driver names.
const (
	MySQL  = "mysql" // MySQL 8, or MariaDB from 10.6 on
	SQLite = "sqlite"
)

// Store holds a node's records. It is safe for concurrent use.
type Store struct {
	cfg         Config
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
//
// log gets slow statements and failures, but no values of statements.
func Open(cfg Config, log *slog.Logger) (s *Store, err error) {
	defer wrap(&err, "open store")
	s = &Store{cfg: cfg, log: newSlowLog(log)}
	switch cfg.Driver {
	case MySQL:
		s.dialect = mysqlDialect
		s.write, err = openMySQL(cfg, s.log)
		s.read = s.write
	case SQLite:
		s.dialect = sqliteDialect
		s.write, s.read, err = openSQLite(cfg, s.log)
	default:
		err = fmt.Errorf("driver %q: must be %s or %s", cfg.Driver, MySQL, SQLite)
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
	// that are free. SQLite needs neither: it has one writer at a time, which
	// locks the whole database.
	forUpdate, skipLocked string

	// byID and bySize follow a table's name and choose the index. Without them the
	// database may scan the table, lock in another order, or lock rows that it does
	// not return.
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

	// onConflict begins the end of an INSERT that, if a row with this key exists,
	// updates that row. inserted is the value that the INSERT has for a column.
	onConflict func(key string) string
	inserted   func(column string) string
}

// orLock ends an INSERT that, if a row with this unique key exists, locks that
// row and leaves it unchanged. INSERT IGNORE would take a shared lock, and two
// transactions that then write the row would deadlock.
func (d dialect) orLock(key string) string {
	return d.onConflict(key) + key + " = " + key
}

// orSet ends an INSERT that, if a row with this key exists, sets the columns of
// that row.
func (d dialect) orSet(key string, columns ...string) string {
	var set []string
	for _, c := range columns {
		set = append(set, c+" = "+d.inserted(c))
	}
	return d.onConflict(key) + strings.Join(set, ", ")
}

// orAdd ends an INSERT that, if a row with this key exists, adds the columns to
// that row.
func (d dialect) orAdd(key, columns []string) string {
	var set []string
	for _, c := range columns {
		set = append(set, c+" = "+c+" + "+d.inserted(c))
	}
	return d.onConflict(strings.Join(key, ", ")) + strings.Join(set, ", ")
}
