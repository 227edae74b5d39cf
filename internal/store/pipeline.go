package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"

	"gorm.io/gorm"
	gormlogger "gorm.io/gorm/logger"
)

// pipeline is a transaction that waits for the database only where it has to:
// a statement that gives no rows is kept until the next one that does, or until
// the commit, and sent with it. A statement after one that failed is not run.
//
// How many rows such a statement finds is not known, but for execNow, and that
// it failed only later, maybe only when the commit was sent with it.
type pipeline struct {
	ctx  context.Context
	log  gormlogger.Interface
	conn *sql.Conn
	kept []byte // statements
	args []any  // theirs
	size int    // of the arguments, about
}

var (
	_ gorm.ConnPool    = (*pipeline)(nil)
	_ gorm.TxCommitter = (*pipeline)(nil)
)

// beginPipeline begins a pipeline, or another transaction where the database
// takes one statement at a time.
func (s *Store) beginPipeline(ctx context.Context) *gorm.DB {
	if !s.dialect.pipelines {
		return s.begin(ctx)
	}
	tx := s.write.WithContext(ctx)
	var conn *sql.Conn
	pool, err := tx.DB()
	if err == nil {
		conn, err = pool.Conn(ctx)
	}
	if err != nil {
		_ = tx.AddError(err)
		return tx
	}
	p := &pipeline{ctx: ctx, log: tx.Logger, conn: conn}
	p.keep("START TRANSACTION", nil)
	tx.Statement.ConnPool = p
	return tx
}

// tracedBytes is how much the log has of statements that were slow: some have
// thousands of values in them.
const tracedBytes = 1000

func (p *pipeline) keep(statement string, args []any) {
	if len(p.kept) > 0 {
		p.kept = append(p.kept, "; "...)
	}
	p.kept = append(p.kept, statement...)
	p.args = append(p.args, args...)
	for _, arg := range args {
		b, _ := arg.([]byte)
		p.size += 8 + len(b)
	}
}

// take gives what was kept, as what is to be sent now.
func (p *pipeline) take() (statements string, args []any) {
	statements, args = string(p.kept), p.args
	p.kept, p.args, p.size = p.kept[:0], nil, 0
	return statements, args
}

// send sends what was kept.
func (p *pipeline) send() (sql.Result, error) {
	begin := time.Now()
	statements, args := p.take()
	result, err := p.conn.ExecContext(p.ctx, statements, args...)
	p.log.Trace(p.ctx, begin, func() (string, int64) { return statements[:min(len(statements), tracedBytes)], 0 }, err)
	return result, err
}

// ExecContext keeps the statement, or sends all where that is much already, see
// updateBytes.
func (p *pipeline) ExecContext(_ context.Context, statement string, args ...any) (sql.Result, error) {
	p.keep(statement, args)
	if len(p.kept)+p.size >= updateBytes {
		return p.send()
	}
	return driver.RowsAffected(0), nil
}

// execNow sends the statement, and what was kept before it, and says how many
// rows the statement found.
func (p *pipeline) execNow(_ context.Context, statement string, args ...any) (sql.Result, error) {
	p.keep(statement, args)
	return p.send()
}

// QueryContext gives the rows of the statement, and none of those before it.
func (p *pipeline) QueryContext(ctx context.Context, statement string, args ...any) (*sql.Rows, error) {
	p.keep(statement, args)
	statement, args = p.take()
	return p.conn.QueryContext(ctx, statement, args...)
}

// QueryRowContext is QueryContext for one row.
func (p *pipeline) QueryRowContext(ctx context.Context, statement string, args ...any) *sql.Row {
	p.keep(statement, args)
	statement, args = p.take()
	return p.conn.QueryRowContext(ctx, statement, args...)
}

// PrepareContext fails: nothing is sent by itself here.
func (p *pipeline) PrepareContext(context.Context, string) (*sql.Stmt, error) {
	return nil, errors.ErrUnsupported
}

// Commit sends what was kept and the commit.
func (p *pipeline) Commit() error {
	p.keep("COMMIT", nil)
	if _, err := p.send(); err != nil {
		_ = p.Rollback() // some of it may have been done
		return err
	}
	return p.conn.Close()
}

// Rollback ends the transaction, and the connection where that fails.
func (p *pipeline) Rollback() error {
	_, err := p.conn.ExecContext(context.WithoutCancel(p.ctx), "ROLLBACK")
	if err != nil {
		_ = p.conn.Raw(func(any) error { return driver.ErrBadConn })
		return err
	}
	return p.conn.Close()
}
