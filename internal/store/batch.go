package store

import (
	"cmp"
	"reflect"
	"slices"
	"strings"

	"gorm.io/gorm"
)

// batchRows bounds the rows of one statement. A CASE is searched from its
// start for every row, so longer ones cost more than the round trips that they
// save; and SQLite takes 32766 placeholders in a statement.
const batchRows = 100

// change is one row's new values, in the order of the columns.
type change struct {
	id     int64
	values []any
}

// update writes the columns of the rows: one statement a batch, in id order.
//
//	UPDATE t SET a = CASE id WHEN 1 THEN x WHEN 2 THEN y END, ... WHERE id IN (1, 2)
//
// A column that gets the same value in every row is written without a CASE.
func update(tx *gorm.DB, table string, columns []string, changes []change) error {
	slices.SortFunc(changes, func(a, b change) int { return cmp.Compare(a.id, b.id) })
	for batch := range slices.Chunk(changes, batchRows) {
		sql, args := caseUpdate(table, columns, batch)
		if err := tx.Exec(sql, args...).Error; err != nil {
			return err
		}
	}
	return nil
}

func caseUpdate(table string, columns []string, batch []change) (string, []any) {
	var sql strings.Builder
	args := make([]any, 0, len(batch)*(2*len(columns)+1))
	sql.WriteString("UPDATE " + table + " SET ")
	for i, column := range columns {
		if i > 0 {
			sql.WriteString(", ")
		}
		if value, ok := common(batch, i); ok {
			sql.WriteString(column + " = ?")
			args = append(args, value)
			continue
		}
		sql.WriteString(column + " = CASE id")
		for _, c := range batch {
			sql.WriteString(" WHEN ? THEN ?")
			args = append(args, c.id, c.values[i])
		}
		sql.WriteString(" END")
	}
	sql.WriteString(" WHERE id IN (?" + strings.Repeat(",?", len(batch)-1) + ")")
	for _, c := range batch {
		args = append(args, c.id)
	}
	return sql.String(), args
}

// common is the value that all rows of the batch get in column i, if they do.
func common(batch []change, i int) (value any, ok bool) {
	value = batch[0].values[i]
	for _, c := range batch[1:] {
		if !reflect.DeepEqual(c.values[i], value) {
			return nil, false
		}
	}
	return value, true
}

// distinct sorts ids and drops repetitions: the order to lock them in.
func distinct(ids []int64) []int64 {
	slices.Sort(ids)
	return slices.Compact(ids)
}
