package store

import (
	"database/sql"
	"fmt"
	"strings"
)

// dialect is what the databases say differently. Everything else is one text
// for all of them.
type dialect struct {
	name string

	// forUpdate locks the rows that a SELECT finds; skipLocked takes those
	// alone that nobody has locked. SQLite has one writer at a time, whose
	// transactions hold the database from their start, and so needs neither.
	forUpdate, skipLocked string

	// byID and bySize follow a table's name and keep the database from
	// scanning the table, in another order than the locks', or locking rows
	// that it then sorts away.
	byID, bySize string

	// updateRows is how many rows one UPDATE takes, and byInterval whether it
	// chooses their values by INTERVAL, see updateText.
	updateRows int
	byInterval bool

	// joinInOrder joins the table that follows to the one before, for whose
	// rows alone the database looks there.
	joinInOrder string

	// pipelines says that it takes several statements at once, see pipeline.
	pipelines bool

	// oneState makes a reading transaction see one state of the database.
	// SQLite's always do.
	oneState *sql.TxOptions

	// clock is the database's own time, in microseconds since the Unix epoch.
	clock string

	// orLock ends an INSERT that, where the row exists by the unique column %s,
	// locks it and leaves it as it is. INSERT IGNORE would take a shared lock
	// on it, and two that both go on to write deadlock.
	orLock string

	// upsert and inserted make the end of an INSERT that adds to a row that
	// exists: how it begins, given the key, and what it calls a value that was
	// to be inserted.
	upsert, inserted string
}

// orAdd ends an INSERT that, where a row with the key exists, adds the columns
// to it.
func (d dialect) orAdd(key string, columns []string) string {
	sums := make([]string, len(columns))
	for i, c := range columns {
		sums[i] = c + " = " + c + " + " + fmt.Sprintf(d.inserted, c)
	}
	return strings.ReplaceAll(d.upsert, "%s", key) + strings.Join(sums, ", ")
}

var mysqlDialect = dialect{
	name:        "mysql",
	forUpdate:   " FOR UPDATE",
	skipLocked:  " FOR UPDATE SKIP LOCKED",
	byID:        " FORCE INDEX (PRIMARY)",
	bySize:      " FORCE INDEX (chunks_key_size)",
	updateRows:  500,
	byInterval:  true,
	joinInOrder: " STRAIGHT_JOIN ",
	pipelines:   true,
	oneState:    &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true},
	clock:       "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))",
	orLock:      " ON DUPLICATE KEY UPDATE %[1]s = %[1]s",
	upsert:      " ON DUPLICATE KEY UPDATE ",
	inserted:    "VALUES(%s)", // MySQL would rather have an alias, which MariaDB does not know
}

var sqliteDialect = dialect{
	name:        "sqlite",
	updateRows:  100,
	joinInOrder: " CROSS JOIN ",
	clock:       "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)",
	orLock:      " ON CONFLICT (%[1]s) DO NOTHING",
	upsert:      " ON CONFLICT (%s) DO UPDATE SET ",
	inserted:    "excluded.%s",
}
