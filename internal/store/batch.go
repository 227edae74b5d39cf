package store

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm"
)

// batchRows bounds the rows that a statement asks for: SQLite takes 32766
// placeholders in one.
const batchRows = 100

// updateBytes bounds what the values of an UPDATE add up to, but for its last
// row: a statement has to fit into max_allowed_packet, whatever the server's
// setting is, and into SQLite's megabyte.
const updateBytes = 256 << 10

// updating is what an UPDATE does to each of its rows.
type updating struct {
	table string

	// columns are those that may change. In place of its name a column may
	// have an expression for what follows the SET, where % stands for the
	// value: "n = n + %".
	columns []string

	// always is set as well, with a row that changes and not by itself.
	always string

	// guards are columns: a row is changed where they are what the change says,
	// and where the condition holds that is called when.
	guards []string
	when   string
}

// change is one row's values, in the order of the columns: as they were, and
// as they are to be; and those of the guards.
type change struct {
	id       int64
	old, new []value
	guard    []value
}

// update writes the columns of the rows, many a statement and in id order, and
// says, where there are guards, how many rows it found. A column that gets the
// same value in every row is written once, and one that keeps its value in
// every row is not written.
//
// Values stand in the statement as they are: they are numbers and bytes in
// hexadecimal, and handing them on as arguments costs more than writing them.
func (s *Store) update(tx *gorm.DB, u updating, changes []change) (found int64, err error) {
	slices.SortFunc(changes, func(a, b change) int { return cmp.Compare(a.id, b.id) })
	run := execAs
	if len(u.guards) > 0 {
		run = execCounting
	}
	for batch := range statements(changes, s.dialect.updateRows) {
		statement := u.statement(s.dialect, batch)
		if statement == "" {
			continue
		}
		n, err := run(tx, "UPDATE "+u.table+" ...", statement)
		if err != nil {
			return found, err
		}
		found += n
	}
	return found, nil
}

// statements parts changes into what one statement takes.
func statements(changes []change, rows int) iter.Seq[[]change] {
	return func(yield func([]change) bool) {
		for len(changes) > 0 {
			n := 0
			for size := 0; n < min(rows, len(changes)) && size < updateBytes; n++ {
				size += changes[n].size()
			}
			if !yield(changes[:n]) {
				return
			}
			changes = changes[n:]
		}
	}
}

// size is about what the new values take up.
func (c *change) size() int {
	n := 0
	for _, v := range c.new {
		n += 8 + len(v.bytes)
	}
	return n
}

// statement is the UPDATE of these rows, which are in the order of their ids;
// empty where nothing changes.
func (u updating) statement(d dialect, batch []change) string {
	w := &updateText{dialect: d, batch: batch}
	w.writeIDs()
	w.text = append(w.text, "UPDATE "+u.table+d.byID...)
	separator := " SET "
	for i, column := range u.columns {
		if !changes(batch, i) {
			continue
		}
		w.text = append(w.text, separator...)
		separator = ", "
		head, tail, isExpression := strings.Cut(column, "%")
		w.text = append(w.text, head...)
		if !isExpression {
			w.text = append(w.text, " = "...)
		}
		w.writeValues(func(c *change) value { return c.new[i] })
		w.text = append(w.text, tail...)
	}
	if separator == " SET " {
		return ""
	}
	if u.always != "" {
		w.text = append(w.text, ", "+u.always...)
	}
	w.text = append(w.text, " WHERE id IN ("...)
	w.text = append(append(w.text, w.ids...), ')')
	for i, guard := range u.guards {
		w.text = append(w.text, " AND "+guard+" = "...)
		w.writeValues(func(c *change) value { return c.guard[i] })
	}
	if u.when != "" {
		w.text = append(w.text, " AND "+u.when...)
	}
	return string(w.text)
}

// updateText is an UPDATE being written.
type updateText struct {
	dialect dialect
	batch   []change
	ids     []byte // of the batch, with commas
	text    []byte
}

func (w *updateText) writeIDs() {
	for i := range w.batch {
		if i > 0 {
			w.ids = append(w.ids, ',')
		}
		w.ids = strconv.AppendInt(w.ids, w.batch[i].id, 10)
	}
}

// writeValues writes one value, where all rows have the same, or what chooses
// each row's by its id.
//
// A CASE is searched from its start for every row. MySQL and MariaDB search an
// INTERVAL of constants by halves; it gives the row's place, by which bytes of
// one length are cut out of a single text, the least to parse. ELT gives texts
// as well, which is good for numbers up to 2^53.
func (w *updateText) writeValues(of func(*change) value) {
	first := of(&w.batch[0])
	switch length := w.commonLength(of); {
	case w.common(of, first):
		w.text = first.append(w.text)
	case w.dialect.byInterval && length > 0:
		w.text = append(w.text, "SUBSTR(x'"...)
		for i := range w.batch {
			w.text = hex.AppendEncode(w.text, of(&w.batch[i]).bytes)
		}
		w.text = append(w.text, "',"...)
		w.writeInterval()
		w.text = fmt.Appendf(w.text, "*%d-%d,%[1]d)", length, length-1)
	case w.dialect.byInterval:
		w.text = append(w.text, "ELT("...)
		w.writeInterval()
		for i := range w.batch {
			w.text = of(&w.batch[i]).append(append(w.text, ','))
		}
		w.text = append(w.text, ')')
	default:
		w.text = append(w.text, "CASE id"...)
		for i := range w.batch {
			w.text = strconv.AppendInt(append(w.text, " WHEN "...), w.batch[i].id, 10)
			w.text = of(&w.batch[i]).append(append(w.text, " THEN "...))
		}
		w.text = append(w.text, " END"...)
	}
}

// writeInterval writes what gives a row's place in the batch, from 1.
func (w *updateText) writeInterval() {
	w.text = append(append(append(w.text, "INTERVAL(id,"...), w.ids...), ')')
}

// commonLength is the bytes that all rows' values have; 0 where they are not
// bytes, or not of one length.
func (w *updateText) commonLength(of func(*change) value) int {
	length := 0
	for i := range w.batch {
		n := len(of(&w.batch[i]).bytes)
		if i > 0 && n != length {
			return 0
		}
		length = n
	}
	return length
}

// common says whether all rows have this value.
func (w *updateText) common(of func(*change) value, first value) bool {
	for i := range w.batch {
		if !of(&w.batch[i]).is(first) {
			return false
		}
	}
	return true
}

// changes says whether column i changes in any row of the batch.
func changes(batch []change, i int) bool {
	for k := range batch {
		if !batch[k].old[i].is(batch[k].new[i]) {
			return true
		}
	}
	return false
}

// placeholders are n of them, for a list.
func placeholders(n int) string { return "?" + strings.Repeat(",?", n-1) }

// distinct sorts ids and drops repetitions: the order to lock them in.
func distinct(ids []int64) []int64 {
	slices.Sort(ids)
	return slices.Compact(ids)
}
