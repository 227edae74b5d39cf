package main

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

// ids are the last ones given in each table: rows are written with ids of
// their own, so that they can name each other.
type ids struct{ token, file, contract int64 }

// table is rows on their way into the database.
type table struct {
	name    string
	columns []string
	rows    [][]any
}

func (t *table) add(values ...any) { t.rows = append(t.rows, values) }

// insertRows bounds the rows of one statement.
const insertRows = 500

// insert writes the rows in one transaction.
func insert(ctx context.Context, db *sql.DB, tables ...*table) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a commit it does nothing
	for _, t := range tables {
		for chunk := range slices.Chunk(t.rows, insertRows) {
			if _, err := tx.ExecContext(ctx, t.statement(len(chunk)), slices.Concat(chunk...)...); err != nil {
				return fmt.Errorf("insert into %s: %w", t.name, err)
			}
		}
	}
	return tx.Commit()
}

func (t *table) statement(rows int) string {
	row := "(" + strings.TrimSuffix(strings.Repeat("?,", len(t.columns)), ",") + ")"
	return "INSERT INTO " + t.name + " (" + strings.Join(t.columns, ", ") + ") VALUES " +
		row + strings.Repeat(","+row, rows-1)
}
