package store

import (
	"cmp"
	"slices"
	"strings"

	"gorm.io/gorm"
)

// batchRows bounds the rows of one statement. A CASE is searched from its
// start for every row, so longer ones cost more than the round trips that they
// save; and SQLite takes 32766 placeholders in a statement.
const batchRows = 200

// change is one row's new values, in the order of the columns.
type change struct {
	id     int64
	values []any
}

// update writes the columns of the rows: one statement a batch, in id order.
//
//	UPDATE t SET a = CASE id WHEN 1 THEN x WHEN 2 THEN y END, ... WHERE id IN (1, 2)
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

// distinct sorts ids and drops repetitions: the order to lock them in.
func distinct(ids []int64) []int64 {
	slices.Sort(ids)
	return slices.Compact(ids)
}
