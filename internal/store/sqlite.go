package store

import (
	"database/sql"
	"fmt"
	"net/url"
	"runtime"
	"strings"

	gormsqlite "github.com/glebarez/sqlite"
	"gorm.io/gorm"
)

// openSQLite opens one connection for writing and a pool for reading. SQLite
// has one writer at a time; waiting for it in this process, where waiting is
// in order and cheap, leaves the busy timeout for other processes.
func openSQLite(opt Options) (write, read *gorm.DB, err error) {
	if opt.Path == "" || strings.Contains(opt.Path, ":memory:") {
		return nil, nil, fmt.Errorf("SQLite path %q: must name a file", opt.Path)
	}
	write, err = openSQLitePool(opt, "immediate", 1)
	if err != nil {
		return nil, nil, err
	}
	read, err = openSQLitePool(opt, "deferred", max(4, runtime.GOMAXPROCS(0)))
	if err != nil {
		closePool(write)
		return nil, nil, err
	}
	return write, read, nil
}

func openSQLitePool(opt Options, lock string, conns int) (*gorm.DB, error) {
	query := url.Values{
		// A transaction that is to write takes the write lock at its start:
		// one that read first could not wait for it any more.
		"_txlock": {lock},
		"_pragma": {
			"busy_timeout(5000)",
			"journal_mode(WAL)",
			"synchronous(FULL)", // what a farmer was told survives a power cut
			"foreign_keys(1)",
			"temp_store(MEMORY)",
		},
	}
	pool, err := sql.Open(gormsqlite.DriverName, "file:"+(&url.URL{Path: opt.Path}).EscapedPath()+"?"+query.Encode())
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	db, err := gorm.Open(&gormsqlite.Dialector{Conn: pool}, gormConfig(opt.Logger))
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("open %s: %w", opt.Path, err)
	}
	return db, nil
}
