package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"math/rand/v2"
	"time"
)

// attempts limits how often a transaction runs. It is large enough for a queue of
// deadlocks, also on a Galera cluster, where a transaction loses against all those of other
// nodes. It is small enough that all attempts end before the farmer's request times out.
const attempts = 10

// longBackoff is the attempt from which on backoff does not grow.
const longBackoff = 5

// transaction runs fn in a transaction. It repeats the transaction if the database
// ended it for a temporary reason: a deadlock, a lock timeout, or a connection lost
// before the commit. After the commit is sent, the outcome is unknown if the
// connection is lost, so transaction does not repeat it.
func (s *Store) transaction(ctx context.Context, fn func(*tx) error) error {
	return s.repeat(ctx, false, fn)
}

// pipelined is like transaction, but needs fewer round trips if the database
// accepts several statements in one request. It returns the result of fn.
func pipelined[T any](ctx context.Context, s *Store, fn func(*tx) (T, error)) (T, error) {
	return resultOf(ctx, s, s.dialect.pipelines, fn)
}

// transact is like transaction, for a function with a result.
func transact[T any](ctx context.Context, s *Store, fn func(*tx) (T, error)) (T, error) {
	return resultOf(ctx, s, false, fn)
}

func resultOf[T any](ctx context.Context, s *Store, pipelined bool, fn func(*tx) (T, error)) (result T, err error) {
	err = s.repeat(ctx, pipelined, func(t *tx) (err error) {
		result, err = fn(t)
		return err
	})
	if err != nil {
		var none T
		return none, err
	}
	return result, nil
}

func (s *Store) begin(ctx context.Context) (*tx, error) {
	t, err := s.write.pool.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	return &tx{ctx: ctx, log: s.log, on: t, commit: t.Commit, rollback: t.Rollback}, nil
}

func (s *Store) beginPipelined(ctx context.Context) (*tx, error) {
	conn, err := s.write.pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	galera := onGalera(conn)
	t := &tx{ctx: ctx, log: s.log, on: conn, pipelined: !galera, galera: galera}
	t.rollback = func() error {
		if _, err := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); err != nil {
			_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // closes the connection
			return err
		}
		return conn.Close()
	}
	t.commit = func() error {
		if _, err := t.send(statement{text: "COMMIT"}); err != nil {
			_ = t.rollback() // part of the transaction may have run
			return err
		}
		return conn.Close()
	}
	if err := t.exec("START TRANSACTION"); err != nil { // on Galera, the statement is sent at once
		_ = t.rollback() // gives the connection back, or closes it
		return nil, err
	}
	return t, nil
}

// onGalera reports whether a connection leads to a Galera node. There, a transaction must
// send one statement at a time: if a transaction of another node ends it between two
// statements of one request, the server reports no error. It runs the rest of the request
// outside of a transaction, and the commit succeeds.
func onGalera(conn *sql.Conn) (galera bool) {
	_ = conn.Raw(func(c any) error { // never fails
		mysql, ok := c.(*mysqlConn)
		galera = ok && mysql.galera
		return nil
	})
	return galera
}

// reader returns a tx for single statements that only read.
func (s *Store) reader(ctx context.Context) *tx { return s.readerOf(ctx, s.read.pool) }

func (s *Store) readerOf(ctx context.Context, pool *sql.DB) *tx {
	return &tx{ctx: ctx, log: s.log, on: pool}
}

// snapshot runs fn in a transaction that only reads and sees one state of the
// database.
func (s *Store) snapshot(ctx context.Context, pool *sql.DB, fn func(*tx) error) error {
	t, err := pool.BeginTx(ctx, s.dialect.snapshot)
	if err != nil {
		return err
	}
	defer t.Rollback() // the transaction wrote nothing
	return fn(&tx{ctx: ctx, log: s.log, on: t})
}

func (s *Store) repeat(ctx context.Context, pipelined bool, fn func(*tx) error) error {
	for attempt := 1; ; attempt++ {
		sent, err := s.try(ctx, pipelined, fn)
		switch {
		case err == nil:
			return nil
		case sent && !isTransient(err):
			return unavailable(err)
		case attempt == attempts, !isTransient(err) && !isConnectionLost(err):
			return err
		}
		if err := sleep(ctx, backoff(attempt)); err != nil {
			return err
		}
	}
}

// try runs fn once. sent reports whether the commit was sent.
func (s *Store) try(ctx context.Context, pipelined bool, fn func(*tx) error) (sent bool, err error) {
	begin := s.begin
	if pipelined {
		begin = s.beginPipelined
	}
	t, err := begin(ctx)
	if err != nil {
		return false, err
	}
	done := false
	defer func() {
		if !done { // fn failed or panicked
			_ = t.rollback()
		}
	}()
	err = fn(t)
	if err == nil {
		err = t.ended
	}
	if err != nil {
		return false, err
	}
	done = true
	if err := t.commit(); err != nil {
		if s.cfg.Driver == SQLite {
			// After a failed commit the transaction may still be open on the only
			// connection that writes.
			_, _ = s.write.pool.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		}
		// If the driver reports a bad connection, the server has run nothing.
		return !errors.Is(err, driver.ErrBadConn), err
	}
	return true, nil
}

// backoff returns a random duration that grows with the number of attempts, so that
// transactions that collided do not collide again.
func backoff(attempt int) time.Duration {
	return time.Millisecond + rand.N(5*time.Millisecond<<min(attempt, longBackoff))
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
