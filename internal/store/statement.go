package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"gorm.io/gorm"
	gormlogger "gorm.io/gorm/logger"
)

// tx runs statements in a transaction. A reader is a tx that runs each statement on
// its own. tx bypasses gorm, because gorm parses every statement again and scans
// rows by reflection. For a commit or a hand-out, that takes longer than the
// database's part.
type tx struct {
	ctx              context.Context
	log              slowLog
	on               executor
	commit, rollback func() error

	// ended is the error with which the database ended the transaction. Further statements
	// would run outside of a transaction, so they return this error, and so does try.
	ended error

	// A pipelined transaction keeps statements that return no rows. It sends them
	// together with the next statement that returns rows, or with the commit. If a
	// statement fails, the database does not run the statements after it.
	pipelined bool
	galera    bool // a pipelined transaction that leads to a Galera node; see onGalera
	kept      []statement
	size      int // approximate size of the kept statements in bytes
}

// executor is a pool, a connection or a transaction of database/sql.
type executor interface {
	ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
}

type statement struct {
	text   string
	args   []any
	logged string // text for the log, if the statement's text contains values
}

func (s statement) size() int {
	n := len(s.text)
	for _, arg := range s.args {
		b, _ := arg.([]byte)
		n += 8 + len(b)
	}
	return n
}

// exec runs a statement whose result the caller does not need. In a pipelined
// transaction, an error of the statement may be returned by a later statement or by
// the commit.
func (t *tx) exec(text string, args ...any) error { return t.defers(statement{text: text, args: args}) }

func (t *tx) defers(s statement) error {
	if n := s.size(); t.pipelined && t.size+n < updateBytes {
		t.kept = append(t.kept, s)
		t.size += n
		return nil
	}
	_, err := t.send(s)
	return err
}

// execCount runs a statement immediately and returns how many rows it found.
func (t *tx) execCount(text string, args ...any) (int64, error) {
	return t.count(statement{text: text, args: args})
}

func (t *tx) count(s statement) (int64, error) {
	result, err := t.send(s)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// execExactly runs a statement that must find n rows. If it finds another number,
// the transaction fails. A pipelined transaction does not learn the number before
// its commit, so it adds a second statement that violates NOT NULL if the number is
// wrong.
func (t *tx) execExactly(n int, text string, args ...any) error {
	if t.pipelined {
		if err := t.exec(text, args...); err != nil {
			return err
		}
		return t.exec("INSERT INTO ips (ip) SELECT NULL FROM DUAL WHERE ROW_COUNT() <> ?", n)
	}
	found, err := t.execCount(text, args...)
	if err == nil && found != int64(n) {
		err = fmt.Errorf("%d rows, not %d: %s", found, n, text)
	}
	return err
}

// insertID runs an INSERT of one row immediately and returns the row's id.
func (t *tx) insertID(text string, args ...any) (int64, error) {
	result, err := t.send(statement{text: text, args: args})
	if err != nil {
		return 0, err
	}
	return result.LastInsertId()
}

// send sends the kept statements and then s. It returns the result of s.
func (t *tx) send(s statement) (result sql.Result, err error) {
	if t.ended != nil {
		return nil, t.ended
	}
	all, text, args := t.takeKept(s)
	defer t.log.slow(t.ctx, time.Now(), all, nil)
	result, err = t.on.ExecContext(t.ctx, text, args...)
	return result, t.look(err)
}

// look notes an error with which the database ended the transaction.
func (t *tx) look(err error) error {
	if t.commit != nil && (isTransient(err) || isConnectionLost(err)) {
		t.ended = err
	}
	return err
}

// query sends the kept statements and then a query. It calls scan for each row.
func (t *tx) query(scan func(*sql.Rows) error, text string, args ...any) error {
	if t.ended != nil {
		return t.ended
	}
	all, text, args := t.takeKept(statement{text: text, args: args})
	found := 0
	defer t.log.slow(t.ctx, time.Now(), all, &found)
	rows, err := t.on.QueryContext(t.ctx, text, args...)
	if err != nil {
		return t.look(err)
	}
	defer rows.Close()
	var unread error
	for ; rows.Next(); found++ {
		if unread == nil {
			unread = scan(rows)
		}
	}
	// A Galera node that ends the transaction within a subquery returns a row with NULL, and
	// then the error.
	if err := t.look(rows.Err()); err != nil {
		return err
	}
	return unread
}

// number returns the single number that a query selects, or 0 if there is no row.
func (t *tx) number(text string, args ...any) (n int64, err error) {
	err = t.query(func(rows *sql.Rows) error { return rows.Scan(&n) }, text, args...)
	return n, err
}

// numbers returns the numbers that a query selects, one number per row.
func (t *tx) numbers(text string, args ...any) ([]int64, error) {
	return appendRows(nil, t, addressOf[int64], text, args...)
}

// takeKept joins the kept statements and a last statement into one text.
func (t *tx) takeKept(last statement) (all []statement, text string, args []any) {
	if len(t.kept) == 0 {
		return []statement{last}, last.text, last.args
	}
	all = append(t.kept, last)
	t.kept, t.size = nil, 0
	var joined strings.Builder
	for i, s := range all {
		if i > 0 {
			joined.WriteString("; ")
		}
		joined.WriteString(s.text)
		args = append(args, s.args...)
	}
	return all, joined.String(), args
}

// slowLog logs slow statements without their values, because token hashes and
// challenge states must not appear in a log. It does not log errors, because the
// store returns them.
type slowLog struct {
	gormlogger.Interface // discards gorm's own messages
	to                   *slog.Logger
}

func newSlowLog(to *slog.Logger) slowLog { return slowLog{gormlogger.Discard, to} }

// Print receives the MySQL driver's messages about broken connections. The driver
// never passes statements to it.
func (l slowLog) Print(v ...any) { l.to.Debug("mysql driver: " + fmt.Sprint(v...)) }

const (
	slowThreshold = time.Second
	loggedBytes   = 300 // maximum number of logged bytes of a statement
)

// slow logs statements if they took long since they began. rows is the number of
// rows, or nil if it is unknown.
func (l slowLog) slow(ctx context.Context, began time.Time, all []statement, rows *int) {
	l.Trace(ctx, began, func() (string, int64) {
		var logged []string
		for _, s := range all {
			logged = append(logged, cmp.Or(s.logged, s.text))
		}
		n := 0
		if rows != nil {
			n = *rows
		}
		return strings.Join(logged, "; "), int64(n)
	}, nil)
}

// Trace is called by gorm after each of its statements.
func (l slowLog) Trace(ctx context.Context, began time.Time, statement func() (string, int64), _ error) {
	took := time.Since(began)
	if took < slowThreshold {
		return
	}
	text, rows := statement()
	if len(text) > loggedBytes {
		text = text[:loggedBytes] + "..."
	}
	l.to.WarnContext(ctx, "slow statement", "took", took, "rows", rows, "sql", text)
}

// ParamsFilter removes the values from the statements that gorm passes to Trace.
func (slowLog) ParamsFilter(_ context.Context, text string, _ ...any) (string, []any) {
	return text, nil
}

var _ gorm.ParamsFilter = slowLog{}
