package store

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strconv"
)

// batchRows limits the rows of a statement, because SQLite accepts at most 32766
// placeholders.
const batchRows = 100

// updateBytes limits the bytes of the values in an UPDATE, without its last row. A
// statement must fit into the smallest usual max_allowed_packet, and into SQLite's
// limit of one megabyte.
const updateBytes = 256 << 10

// updating describes an UPDATE of many rows of one table.
type updating[R any] struct {
	table   string
	columns columns[R] // columns that may change
	always  string     // an assignment that is added to each UPDATE, if not ""

	// guards make the update optimistic: a row is changed only if these columns
	// still have their old values.
	guards columns[R]
}

// change is a row before and after a change.
type change[R any] struct {
	id       int64
	old, new *R
}

// update writes the changed columns, in id order and with many rows per statement.
// If there are guards, it returns how many rows it found. If a column gets the same
// value in every row, the statement contains the value once. If a column changes in
// no row, the statement does not contain the column.
//
// The statement text contains the values as numbers and hexadecimal bytes, because
// passing them as arguments costs more than writing them.
func update[R any](t *tx, d dialect, u updating[R], changes []change[R]) (found int64, err error) {
	slices.SortFunc(changes, func(a, b change[R]) int { return cmp.Compare(a.id, b.id) })
	for batch := range u.statements(changes, d.updateRows) {
		w := updateText[R]{dialect: d, updating: u, batch: batch}
		text := w.write()
		if text == "" {
			continue
		}
		s := statement{text: text, logged: "UPDATE " + u.table + " ..."}
		if len(u.guards) == 0 {
			err = t.defers(s)
		} else {
			var n int64
			n, err = t.count(s)
			found += n
		}
		if err != nil {
			return found, err
		}
	}
	return found, nil
}

// statements divides changes into groups, one group for each statement.
func (u updating[R]) statements(changes []change[R], rows int) iter.Seq[[]change[R]] {
	return func(yield func([]change[R]) bool) {
		for len(changes) > 0 {
			n := 0
			for size := 0; n < min(rows, len(changes)) && size < updateBytes; n++ {
				for _, c := range u.columns {
					size += 8 + len(valueOf(c.field(changes[n].new)).bytes)
				}
			}
			if !yield(changes[:n]) {
				return
			}
			changes = changes[n:]
		}
	}
}

// updateText builds the text of one UPDATE. Its rows are in id order.
type updateText[R any] struct {
	dialect dialect
	updating[R]
	batch  []change[R]
	ids    []byte  // ids of the batch, separated by commas
	values []value // values of the batch for the column that is being written
	text   []byte
}

// write returns the text, or "" if no column changes.
func (w *updateText[R]) write() string {
	for i := range w.batch {
		if i > 0 {
			w.ids = append(w.ids, ',')
		}
		w.ids = strconv.AppendInt(w.ids, w.batch[i].id, 10)
	}
	w.values = make([]value, len(w.batch))
	w.text = append(w.text, "UPDATE "+w.table+w.dialect.byID...)
	separator := " SET "
	for _, c := range w.columns {
		if !w.loadNew(c) {
			continue
		}
		w.text = append(w.text, separator+c.name+" = "...)
		separator = ", "
		switch {
		case c.relative:
			w.text = append(w.text, c.name+" + "...)
		case c.flag:
			w.text = append(w.text, c.name+" * "...)
		}
		w.writeValues()
	}
	if separator == " SET " {
		return ""
	}
	if w.always != "" {
		w.text = append(w.text, ", "+w.always...)
	}
	w.text = append(w.text, " WHERE id IN ("...)
	w.text = append(append(w.text, w.ids...), ')')
	for _, c := range w.guards {
		w.text = append(w.text, " AND "+c.name+" = "...)
		for i := range w.batch {
			w.values[i] = valueOf(c.field(w.batch[i].old))
		}
		w.writeValues()
	}
	return string(w.text)
}

// loadNew reads the new values of a column, and reports whether any value differs
// from the old value.
func (w *updateText[R]) loadNew(c column[R]) (changed bool) {
	for i := range w.batch {
		was, is := valueOf(c.field(w.batch[i].old)), valueOf(c.field(w.batch[i].new))
		changed = changed || !is.equal(was)
		if c.relative {
			is.number -= was.number
		}
		w.values[i] = is
	}
	return changed
}

// writeValues writes the value, if it is the same in all rows. Otherwise it writes
// an expression that chooses the value by the row's id.
//
// The database searches a CASE from its start for every row, but it uses binary
// search for an INTERVAL of constants. INTERVAL returns the position of the row. If
// the values are bytes of equal length, the expression cuts the value out of one
// hexadecimal text at that position, which is the fastest to parse. Otherwise ELT
// chooses the value. ELT returns text, which is exact for numbers up to 2^53.
func (w *updateText[R]) writeValues() {
	same, length := w.compareValues()
	switch {
	case same:
		w.text = w.values[0].append(w.text)
	case w.dialect.byInterval && length > 0:
		w.text = append(w.text, "SUBSTR(x'"...)
		for i := range w.values {
			w.text = hex.AppendEncode(w.text, w.values[i].bytes)
		}
		w.text = append(w.text, "',"...)
		w.writeInterval()
		w.text = fmt.Appendf(w.text, "*%d-%d,%[1]d)", length, length-1)
	case w.dialect.byInterval:
		w.text = append(w.text, "ELT("...)
		w.writeInterval()
		for i := range w.values {
			w.text = w.values[i].append(append(w.text, ','))
		}
		w.text = append(w.text, ')')
	default:
		w.text = append(w.text, "CASE id"...)
		for i := range w.values {
			w.text = strconv.AppendInt(append(w.text, " WHEN "...), w.batch[i].id, 10)
			w.text = w.values[i].append(append(w.text, " THEN "...))
		}
		w.text = append(w.text, " END"...)
	}
}

// writeInterval writes an expression for the row's position in the batch, starting
// at 1.
func (w *updateText[R]) writeInterval() {
	w.text = append(append(append(w.text, "INTERVAL(id,"...), w.ids...), ')')
}

// compareValues reports whether all values are the same, and how many bytes each
// value has. The length is 0 if the lengths differ or the values are numbers.
func (w *updateText[R]) compareValues() (same bool, length int) {
	first := w.values[0]
	same, length = true, len(first.bytes)
	for i := range w.values {
		same = same && w.values[i].equal(first)
		if len(w.values[i].bytes) != length {
			length = 0
		}
	}
	return same, length
}

// value is a column's value in an UPDATE: a number or bytes.
type value struct {
	number  int64
	bytes   []byte
	isBytes bool
}

// valueOf reads the field that the pointer field points to.
func valueOf(field any) value {
	switch p := field.(type) {
	case *int64:
		return value{number: *p}
	case *[]byte:
		return value{bytes: *p, isBytes: true}
	case *bool:
		if *p {
			return value{number: 1}
		}
		return value{}
	default:
		panic(fmt.Sprintf("store: no UPDATE of a %T", field))
	}
}

func (v value) equal(o value) bool {
	return v.number == o.number && v.isBytes == o.isBytes && bytes.Equal(v.bytes, o.bytes)
}

// append appends the value as SQL.
func (v value) append(text []byte) []byte {
	if !v.isBytes {
		return strconv.AppendInt(text, v.number, 10)
	}
	return append(hex.AppendEncode(append(text, "x'"...), v.bytes), '\'')
}
