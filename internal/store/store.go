package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"gorm.io/gorm"

	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/node"
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
	write, read database // the same pool for MySQL
	replica     *replica // nil if there is none

	outlook atomic.Pointer[outlook]
	rules   node.ScoreRules // see SetScoreRules
}

// database is a connection pool, with gorm on top of the pool. gorm runs single
// statements on models. Transactions use the pool; see tx.
type database struct {
	*gorm.DB
	pool *sql.DB
}

// Open opens the database. It creates no tables; Migrate does. With MySQL, Open
// does not wait for the server; Ping checks whether the server responds.
//
// log receives slow statements and failures, but not the values in statements.
func Open(cfg Config, log *slog.Logger) (s *Store, err error) {
	defer wrap(&err, "open store")
	s = &Store{cfg: cfg, log: newSlowLog(log), rules: config.Default[ScoreConfig]().Rules()}
	switch cfg.Driver {
	case MySQL:
		s.dialect = mysqlDialect
		if s.write, err = openMySQL(cfg, s.log); err != nil {
			return nil, err
		}
		s.read = s.write
		if cfg.ReadDSN != "" {
			if s.replica, err = openReplica(cfg, s.log); err != nil {
				return nil, errors.Join(err, s.write.pool.Close())
			}
		}
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
func (s *Store) Close() error {
	err := errors.Join(s.write.pool.Close(), s.read.pool.Close())
	if s.replica != nil {
		err = errors.Join(err, s.replica.pool.Close())
	}
	return err
}

// Ping checks that the database can be reached.
func (s *Store) Ping(ctx context.Context) (err error) {
	defer wrap(&err, "ping")
	return s.read.pool.PingContext(ctx)
}

// dialect holds the SQL and the features that differ between the databases.
type dialect struct {
	name string

	// forUpdate locks the rows that a SELECT finds. skipLocked locks only the rows
	// that no other transaction has locked. SQLite needs neither, because it has
	// one writer at a time, which locks the whole database.
	forUpdate, skipLocked string

	// byID, bySize, byUnproven, byFile and byContent follow the name of a table and choose the index.
	// Without them the database may scan the table, lock rows in another order, or
	// lock rows that it does not return.
	byID, bySize, byUnproven, byFile, byContent string

	// updateRows limits the rows of one UPDATE. byInterval allows INTERVAL in an
	// UPDATE; see updateText.
	updateRows int
	byInterval bool

	// joinInOrder joins the next table to the previous table, and makes the
	// database read the tables in this order.
	joinInOrder string

	// pipelines reports whether the database accepts several statements in one
	// request.
	pipelines bool

	// snapshot holds the options for a read-only transaction that sees one state of
	// the database. In SQLite every transaction sees one state.
	snapshot *sql.TxOptions

	// clock is an SQL expression for the database's own time, in microseconds since
	// the Unix epoch.
	clock string

	// greatest is the SQL function for the greatest of several values.
	greatest string

	// onConflict begins the end of an INSERT that updates the existing row if a row
	// with this key exists. inserted is the value that the INSERT has for a column.
	onConflict func(key string) string
	inserted   func(column string) string
}

// orLock ends an INSERT that locks the existing row, and leaves it unchanged, if a
// row with this unique key exists. INSERT IGNORE would take a shared lock, and two
// transactions that then write the row would deadlock.
func (d dialect) orLock(key string) string {
	return d.onConflict(key) + key + " = " + key
}

// orSet ends an INSERT that sets the columns of the existing row if a row with this
// key exists.
func (d dialect) orSet(key string, columns ...string) string {
	var set []string
	for _, c := range columns {
		set = append(set, c+" = "+d.inserted(c))
	}
	return d.onConflict(key) + strings.Join(set, ", ")
}

// orAdd ends an INSERT that adds the columns to the existing row if a row with this
// key exists.
func (d dialect) orAdd(key, columns []string) string {
	var set []string
	for _, c := range columns {
		set = append(set, c+" = "+c+" + "+d.inserted(c))
	}
	return d.onConflict(strings.Join(key, ", ")) + strings.Join(set, ", ")
}
