package store

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strings"

	gormsqlite "github.com/glebarez/sqlite"
	"gorm.io/gorm"
)

var sqliteDialect = dialect{
	name:        "sqlite",
	updateRows:  100,
	joinInOrder: " CROSS JOIN ",
	clock:       "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)",
	orLock:      func(key string) string { return " ON CONFLICT (" + key + ") DO NOTHING" },
	orSet: func(key string, columns ...string) string {
		return " ON CONFLICT (" + key + ") DO UPDATE SET " + assignments(columns, sqliteInserted)
	},
	orAdd: func(key, sums []string) string {
		return " ON CONFLICT (" + strings.Join(key, ", ") + ") DO UPDATE SET " + additions(sums, sqliteInserted)
	},
}

// sqliteInserted names the value that an INSERT has for a column.
func sqliteInserted(column string) string { return "excluded." + column }

// openSQLite opens one connection that writes and a pool that reads. SQLite has
// one writer at a time. Waiting for it in this process is fair and cheap, and
// leaves the busy timeout for other processes.
func openSQLite(opt Options) (write, read database, err error) {
	if opt.Path == "" || strings.Contains(opt.Path, ":memory:") {
		return write, read, fmt.Errorf("SQLite path %q: must name a file", opt.Path)
	}
	write, err = openSQLitePool(opt, "immediate", 1)
	if err != nil {
		return write, read, err
	}
	read, err = openSQLitePool(opt, "deferred", max(4, runtime.GOMAXPROCS(0)))
	if err != nil {
		err = errors.Join(err, write.pool.Close())
	}
	return write, read, err
}

func openSQLitePool(opt Options, lock string, conns int) (database, error) {
	query := url.Values{
		// A transaction that will write takes the write lock at its start: if it read
		// first, it could no longer wait for the lock.
		"_txlock": {lock},
		"_pragma": {
			"busy_timeout(5000)",
			"journal_mode(WAL)",
			"synchronous(FULL)", // a verdict that was sent survives a power cut
			"foreign_keys(1)",
			"temp_store(MEMORY)",
		},
	}
	pool, err := sql.Open(gormsqlite.DriverName, "file:"+(&url.URL{Path: opt.Path}).EscapedPath()+"?"+query.Encode())
	if err != nil {
		return database{}, err
	}
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	db, err := gorm.Open(&gormsqlite.Dialector{Conn: pool}, gormConfig(opt.Logger))
	if err != nil {
		pool.Close()
		return database{}, fmt.Errorf("open %s: %w", opt.Path, err)
	}
	return database{db, pool}, nil
}
