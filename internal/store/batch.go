package store

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"gorm.io/gorm"
)

// batchRows bounds the rows of one statement. A CASE is searched from its
// start for every row, so longer ones cost more than the round trips that they
// save; and SQLite takes 32766 placeholders in a statement.
const batchRows = 100

// change is one row's values, in the order of the columns: as they were read,
// and as they are to be.
type change struct {
	id       int64
	old, new []any // int64, bool or []byte each
}

// update writes the columns of the rows: one statement a batch, in id order.
//
//	UPDATE t SET a = CASE id WHEN 1 THEN x WHEN 2 THEN y END, ... WHERE id IN (1, 2)
//
// A column that gets the same value in every row is written without a CASE,
// and one that keeps its value in every row is not written. In place of its
// name a column may have an expression for what follows the SET, where %
// stands for the value: "n = n + %". What is always set as well comes with a
// row that changes, and not by itself.
func update(tx *gorm.DB, table string, columns []string, changes []change, always ...string) error {
	slices.SortFunc(changes, func(a, b change) int { return cmp.Compare(a.id, b.id) })
	for batch := range slices.Chunk(changes, batchRows) {
		statement, args := caseUpdate(table, columns, batch, always)
		if statement == "" {
			continue
		}
		if _, err := exec(tx, statement, args...); err != nil {
			return err
		}
	}
	return nil
}

// caseUpdate is the statement for a batch; empty where nothing changes.
func caseUpdate(table string, columns []string, batch []change, always []string) (statement string, args []any) {
	var sql strings.Builder
	sql.Grow(len(batch) * 64)
	args = make([]any, 0, len(batch)*5)
	sql.WriteString("UPDATE " + table)
	separator := " SET "
	for i, column := range columns {
		if !changes(batch, i) {
			continue
		}
		sql.WriteString(separator)
		separator = ", "
		head, tail, isExpression := strings.Cut(column, "%")
		sql.WriteString(head)
		if !isExpression {
			sql.WriteString(" = ")
		}
		args = writeValues(&sql, args, batch, i)
		sql.WriteString(tail)
	}
	if len(args) == 0 {
		return "", nil
	}
	for _, expression := range always {
		sql.WriteString(", " + expression)
	}
	sql.WriteString(" WHERE id IN (" + placeholders(len(batch)) + ")")
	for _, c := range batch {
		args = append(args, c.id)
	}
	return sql.String(), args
}

// writeValues writes what column i becomes: one value, or a CASE.
func writeValues(sql *strings.Builder, args []any, batch []change, i int) []any {
	if common(batch, i) {
		sql.WriteString("?")
		return append(args, batch[0].new[i])
	}
	sql.WriteString("CASE id")
	for _, c := range batch {
		sql.WriteString(" WHEN ? THEN ?")
		args = append(args, c.id, c.new[i])
	}
	sql.WriteString(" END")
	return args
}

// changes says whether column i changes in any row of the batch.
func changes(batch []change, i int) bool {
	return slices.ContainsFunc(batch, func(c change) bool { return !same(c.old[i], c.new[i]) })
}

// common says whether all rows of the batch get the same value in column i.
func common(batch []change, i int) bool {
	return !slices.ContainsFunc(batch, func(c change) bool { return !same(c.new[i], batch[0].new[i]) })
}

func same(a, b any) bool {
	x, isBytes := a.([]byte)
	if !isBytes {
		return a == b
	}
	y := b.([]byte)
	return bytes.Equal(x, y) && (x == nil) == (y == nil)
}

// placeholders are n of them, for a list.
func placeholders(n int) string { return "?" + strings.Repeat(",?", n-1) }

// distinct sorts ids and drops repetitions: the order to lock them in.
func distinct(ids []int64) []int64 {
	slices.Sort(ids)
	return slices.Compact(ids)
}
