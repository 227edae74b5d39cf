package store

import (
	"database/sql"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm/schema"
)

// column connects the name of a column with the field of R that holds its value.
// SELECT, INSERT, UPDATE and scanning all use this one declaration.
type column[R any] struct {
	name  string
	field func(*R) any // returns a pointer to the field

	// relative columns are updated as "name = name + difference". The rows of a
	// batch often have the same difference but not the same value, and a statement
	// contains a shared difference only once.
	relative bool

	// flag columns are updated as "name = name * value", so that an update can clear them
	// but never sets them. The old value need not be known.
	flag bool
}

type columns[R any] []column[R]

// table is the name of a table and its columns.
type table[R any] struct {
	name string
	columns[R]
}

// tableOf returns the table whose columns are the fields of R and of the structs
// that R embeds. The field FileID is the column file_id. The tag
// `update:"relative"` makes a column relative, and `update:"flag"` makes it a flag.
func tableOf[R any](name string) table[R] {
	t := table[R]{name: name}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[R]()) {
		if f.Anonymous {
			continue
		}
		t.columns = append(t.columns, column[R]{
			name:     schema.NamingStrategy{}.ColumnName("", f.Name),
			field:    func(r *R) any { return reflect.ValueOf(r).Elem().FieldByIndex(f.Index).Addr().Interface() },
			relative: f.Tag.Get("update") == "relative",
			flag:     f.Tag.Get("update") == "flag",
		})
	}
	return t
}

// only selects columns by name.
func (cs columns[R]) only(names ...string) columns[R] {
	selected := make(columns[R], len(names))
	for i, name := range names {
		at := slices.IndexFunc(cs, func(c column[R]) bool { return c.name == name })
		selected[i] = cs[at]
	}
	return selected
}

// without leaves out the column with this name.
func (cs columns[R]) without(name string) columns[R] {
	return slices.DeleteFunc(slices.Clone(cs), func(c column[R]) bool { return c.name == name })
}

func (cs columns[R]) names() []string {
	names := make([]string, len(cs))
	for i, c := range cs {
		names[i] = c.name
	}
	return names
}

// list joins the column names with commas. prefix is "", or the table's alias
// with a dot.
func (cs columns[R]) list(prefix string) string {
	return prefix + strings.Join(cs.names(), ", "+prefix)
}

// addresses returns pointers to the fields into which a scan stores the columns.
func (cs columns[R]) addresses(r *R) []any {
	all := make([]any, len(cs))
	for i, c := range cs {
		all[i] = c.field(r)
	}
	return all
}

// appendArgs appends the values of the columns as arguments of a statement.
func (cs columns[R]) appendArgs(args []any, r *R) []any {
	for _, c := range cs {
		switch p := c.field(r).(type) {
		case *int64:
			args = append(args, *p)
		case *[]byte:
			args = append(args, *p)
		default:
			args = append(args, p) // database/sql follows the pointer
		}
	}
	return args
}

// selectRows reads rows of these columns. rest is the part of the statement that
// starts at FROM.
func selectRows[R any](t *tx, cs columns[R], rest string, args ...any) ([]R, error) {
	return appendRows(nil, t, cs.addresses, "SELECT "+cs.list("")+" "+rest, args...)
}

// appendRows runs a query and appends an R for each row that the query finds.
// addresses returns pointers to the fields of an R into which the scan stores the
// columns.
func appendRows[R any](found []R, t *tx, addresses func(*R) []any, text string, args ...any) ([]R, error) {
	var row R
	into := addresses(&row)
	err := t.query(func(rows *sql.Rows) error {
		err := rows.Scan(into...)
		found = append(found, row)
		return err
	}, text, args...)
	return found, err
}

// addressOf is the argument addresses of appendRows for a query with one column.
func addressOf[T any](v *T) []any { return []any{v} }

// insert adds rows, except for their ids. end follows the values: an upsert
// clause, or "".
func insert[R any](t *tx, to table[R], rows []R, end string) error {
	cs := to.without("id")
	one := "(" + placeholders(len(cs)) + ")"
	for batch := range slices.Chunk(rows, batchRows) {
		args := make([]any, 0, len(cs)*len(batch))
		for i := range batch {
			args = cs.appendArgs(args, &batch[i])
		}
		err := t.exec("INSERT INTO "+to.name+" ("+cs.list("")+") VALUES "+one+strings.Repeat(", "+one, len(batch)-1)+end, args...)
		if err != nil {
			return err
		}
	}
	return nil
}

// placeholders returns n placeholders, separated by commas.
func placeholders(n int) string { return "?" + strings.Repeat(",?", n-1) }

// idList writes ids as a list for IN. The list must not be empty.
func idList(ids []int64) string {
	text := []byte{'('}
	for i, id := range ids {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendInt(text, id, 10)
	}
	return string(append(text, ')'))
}

// distinct sorts ids and removes duplicates. Transactions lock rows in this order.
func distinct(ids []int64) []int64 {
	slices.Sort(ids)
	return slices.Compact(ids)
}

// The tables hold times as microseconds since the Unix epoch, and durations as
// microseconds.

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func moment(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// cut rounds t down to the precision of the tables.
func cut(t time.Time) time.Time { return moment(micros(t)) }

func span(us int64) time.Duration { return time.Duration(us) * time.Microsecond }
