package store

import (
	"context"
	"errors"
	"slices"
	"testing"
)

func insertSetting(t *tx, name string) error {
	return t.exec("INSERT INTO settings (name, value) VALUES (?, ?)", name, []byte("'?; DROP TABLE settings"))
}

func (f *fixture) pipelined(ctx context.Context, fn func(*tx) error) error {
	_, err := pipelined(ctx, f.Store, func(t *tx) (struct{}, error) { return struct{}{}, fn(t) })
	return err
}

// settings returns the names of the rows that these tests write.
func (f *fixture) settings(t *testing.T) (names []string) {
	t.Helper()
	must(t, f.read.Raw("SELECT name FROM settings WHERE name LIKE 'pipeline%' ORDER BY name").Scan(&names).Error)
	return names
}

// A query must see the effect of the statements before it, and all statements must
// be committed.
func TestPipeline(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		must(t, f.pipelined(t.Context(), func(tx *tx) error {
			for i, name := range []string{"pipeline 1", "pipeline 2", "pipeline 3"} {
				if err := insertSetting(tx, name); err != nil {
					return err
				}
				n, err := tx.number("SELECT COUNT(*) FROM settings WHERE name LIKE ?", "pipeline%")
				if err != nil || n != int64(i+1) {
					t.Errorf("%d rows, %v after %d were inserted", n, err, i+1)
				}
				if i == 1 {
					return insertSetting(tx, "pipeline 4")
				}
			}
			return nil
		}))
		if got, want := f.settings(t), []string{"pipeline 1", "pipeline 2", "pipeline 4"}; !slices.Equal(got, want) {
			t.Errorf("committed %v, want %v", got, want)
		}
	})
}

// A failed transaction must leave no row, no lock and no open connection.
func TestPipelineFails(t *testing.T) {
	wrong := errors.New("wrong")
	for name, fn := range map[string]func(context.CancelFunc, *tx) error{
		"the function": func(_ context.CancelFunc, _ *tx) error { return wrong },
		"a statement":  func(_ context.CancelFunc, tx *tx) error { return insertSetting(tx, "pipeline 0") },
		"a statement before a query": func(_ context.CancelFunc, tx *tx) error {
			if err := insertSetting(tx, "pipeline 0"); err != nil {
				return err
			}
			_, err := tx.number("SELECT 1")
			return err
		},
		"the context": func(cancel context.CancelFunc, _ *tx) error { cancel(); return nil },
		"the context after a query": func(cancel context.CancelFunc, tx *tx) error {
			_, err := tx.number("SELECT 1")
			cancel()
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, f *fixture) {
				must(t, f.write.Exec("INSERT INTO settings (name, value) VALUES ('pipeline 0', '')").Error)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				err := f.pipelined(ctx, func(tx *tx) error {
					if err := insertSetting(tx, "pipeline 1"); err != nil {
						return err
					}
					return fn(cancel, tx)
				})
				if err == nil {
					t.Error("the transaction did not fail")
				}
				must(t, f.pipelined(t.Context(), func(tx *tx) error { return insertSetting(tx, "pipeline 1") }))
				if got, want := f.settings(t), []string{"pipeline 0", "pipeline 1"}; !slices.Equal(got, want) {
					t.Errorf("committed %v, want %v", got, want)
				}
				if n := f.write.pool.Stats().InUse; n != 0 {
					t.Errorf("%d connections in use", n)
				}
			})
		})
	}
}

// On a Galera node, the begin of a transaction is sent at once and can fail. It must leave
// no open connection.
func TestPipelineFailsAtItsBegin(t *testing.T) {
	t.Parallel()
	f := newFixture(t, MySQL)
	f.write.pool.SetMaxOpenConns(1)
	conn, err := f.write.pool.Conn(t.Context())
	must(t, err)
	must(t, conn.Raw(func(c any) error { c.(*mysqlConn).galera = true; return nil }))
	_, err = conn.ExecContext(t.Context(), "XA START 'pipeline'") // the server refuses another transaction
	must(t, err)
	must(t, conn.Close())
	ran := false
	if err := f.pipelined(t.Context(), func(*tx) error { ran = true; return nil }); err == nil || ran {
		t.Errorf("the transaction did not fail at its begin: %v", err)
	}
	if n := f.write.pool.Stats().InUse; n != 0 {
		t.Fatalf("%d connections in use", n)
	}
	must(t, f.pipelined(t.Context(), func(tx *tx) error { return insertSetting(tx, "pipeline") }))
}

// Statements that wait in the pipeline must be sent in packets that the server
// accepts.
func TestPipelineOfManyBytes(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		const rows, size = 200, 100_000 // more than one packet of MariaDB can hold
		must(t, f.pipelined(t.Context(), func(tx *tx) error {
			for range rows {
				if err := tx.exec("UPDATE settings SET value = ? WHERE name = 'none'", make([]byte, size)); err != nil {
					return err
				}
			}
			return insertSetting(tx, "pipeline")
		}))
		if got := f.settings(t); len(got) != 1 {
			t.Errorf("committed %v", got)
		}
	})
}

// If the connection breaks before the commit is sent, the transaction must be
// repeated on another connection. If the connection breaks at the commit, the
// outcome is unknown.
func TestPipelineWithoutConnection(t *testing.T) {
	t.Parallel()
	f := newFixture(t, MySQL)
	other := openStore(t, f.cfg)
	for name, c := range map[string]struct {
		query bool
		want  error
	}{"pipeline before": {true, nil}, "pipeline at": {false, ErrUnavailable}} {
		lost := false
		err := f.pipelined(t.Context(), func(tx *tx) error {
			id, err := tx.number("SELECT CONNECTION_ID()")
			if err != nil {
				return err
			}
			if !lost {
				lost = true
				must(t, other.write.Exec("KILL ?", id).Error)
				if c.query {
					if _, err := tx.number("SELECT 1"); err != nil {
						return err
					}
				}
			}
			return insertSetting(tx, name)
		})
		if !errors.Is(err, c.want) {
			t.Errorf("%s the commit: %v, want %v", name, err, c.want)
		}
	}
	if got, want := f.settings(t), []string{"pipeline before"}; !slices.Equal(got, want) {
		t.Errorf("committed %v, want %v", got, want)
	}
}
