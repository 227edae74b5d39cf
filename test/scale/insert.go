package scale

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

const (
	batchRows       = 500 // of one statement
	transactionRows = 10_000
)

// filling writes rows.
type filling struct {
	conn        *sql.Conn
	done, total int
	progress    func(done, total int)
}

// insert inserts n rows, in order.
func (f *filling) insert(ctx context.Context, table, columns string, n int, row func(i int) []any) error {
	for from := 0; from < n; from += transactionRows {
		if err := f.transaction(ctx, table, columns, from, min(n, from+transactionRows), row); err != nil {
			return fmt.Errorf("fill %s: %w", table, err)
		}
	}
	return nil
}

func (f *filling) transaction(ctx context.Context, table, columns string, from, to int, row func(i int) []any) error {
	tx, err := f.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	values := "(?" + strings.Repeat(", ?", strings.Count(columns, ",")) + ")"
	for ; from < to; from += batchRows {
		var args []any
		end := min(to, from+batchRows)
		for i := from; i < end; i++ {
			args = append(args, row(i)...)
		}
		statement := "INSERT INTO " + table + " (" + columns + ") VALUES " + values + strings.Repeat(", "+values, end-from-1)
		if _, err := tx.ExecContext(ctx, statement, args...); err != nil {
			return err
		}
		f.done += end - from
		f.progress(f.done, f.total)
	}
	return tx.Commit()
}
