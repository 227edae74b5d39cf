package store

import (
	"context"
	"database/sql"
	"time"

	"gorm.io/gorm"
)

// The statements that every answer and every hand-out needs go round gorm,
// which takes a statement apart and puts it together again, and scans rows by
// reflection: more than the database takes for its part.

// exec runs a statement in tx, and says how many rows it found.
func exec(tx *gorm.DB, statement string, args ...any) (rows int64, err error) {
	return execAs(tx, statement, statement, args...)
}

// execAs is exec for a statement that has values in it: where it is slow, the
// log has the text in its place.
func execAs(tx *gorm.DB, text, statement string, args ...any) (rows int64, err error) {
	return execBy(tx, tx.Statement.ConnPool.ExecContext, text, statement, args)
}

// execCounting is execAs where a pipeline, too, has to say how many rows.
func execCounting(tx *gorm.DB, text, statement string, args ...any) (rows int64, err error) {
	run := tx.Statement.ConnPool.ExecContext
	if p, ok := tx.Statement.ConnPool.(*pipeline); ok {
		run = p.execNow
	}
	return execBy(tx, run, text, statement, args)
}

func execBy(
	tx *gorm.DB, run func(context.Context, string, ...any) (sql.Result, error), text, statement string, args []any,
) (rows int64, err error) {
	begin := time.Now()
	result, err := run(tx.Statement.Context, statement, args...)
	if err == nil {
		rows, err = result.RowsAffected()
	}
	trace(tx, begin, text, rows, err)
	return rows, err
}

// query runs a statement in tx and calls scan for each row that it finds.
func query(tx *gorm.DB, scan func(*sql.Rows) error, statement string, args ...any) (err error) {
	begin, found := time.Now(), int64(0)
	defer func() { trace(tx, begin, statement, found, err) }()
	rows, err := tx.Statement.ConnPool.QueryContext(tx.Statement.Context, statement, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for ; rows.Next(); found++ {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// number is the one number that a statement finds, or 0.
func number(tx *gorm.DB, statement string, args ...any) (n int64, err error) {
	err = query(tx, func(rows *sql.Rows) error { return rows.Scan(&n) }, statement, args...)
	return n, err
}

// trace logs what was slow, as gorm has it logged for its statements.
func trace(tx *gorm.DB, begin time.Time, statement string, rows int64, err error) {
	tx.Logger.Trace(tx.Statement.Context, begin, func() (string, int64) { return statement, rows }, err)
}

// anys are the values as arguments.
func anys[T any](values []T) []any {
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = v
	}
	return out
}
