package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"
)

// connectTimeout limits the time to open one connection. A server that resolves the
// names of its clients waits for its DNS first, which may take 20 seconds.
const connectTimeout = time.Minute

// mysqlConnector opens connections for a pool. A connection is opened in the
// background: if the caller's context ends first, the caller gets an error, and the
// next caller gets the connection. Otherwise a server that connects slowly would
// never have a connection, because each caller would end its attempt.
type mysqlConnector struct {
	driver.Connector
	ready chan *mysqlConn // open connections whose callers gave up
	ended context.Context // ends when the pool is closed
	end   context.CancelFunc

	mu      sync.Mutex
	waiting map[*connectCall]bool // callers without a connection
	opening int                   // attempts in progress; never more than there were callers at once
	last    error                 // the result of the last attempt
	attempt sync.WaitGroup
}

// connectCall is one call of Connect.
type connectCall struct {
	result chan connectResult // has room for one
}

type connectResult struct {
	conn *mysqlConn
	err  error
}

// maxSpare is the maximum number of open connections that no caller has taken.
const maxSpare = 16

func newMySQLConnector(c driver.Connector) *mysqlConnector {
	m := &mysqlConnector{Connector: c, ready: make(chan *mysqlConn, maxSpare), waiting: map[*connectCall]bool{}}
	m.ended, m.end = context.WithCancel(context.Background())
	return m
}

// Connect implements [driver.Connector].
func (m *mysqlConnector) Connect(ctx context.Context) (driver.Conn, error) {
	call := &connectCall{result: make(chan connectResult, 1)}
	m.mu.Lock()
	select {
	case conn := <-m.ready:
		m.mu.Unlock()
		return conn, nil
	default:
	}
	m.waiting[call] = true
	if m.opening < len(m.waiting) {
		m.opening++
		m.attempt.Go(m.open)
	}
	m.mu.Unlock()
	select {
	case r := <-call.result:
		if r.err != nil {
			return nil, r.err
		}
		return r.conn, nil
	case <-ctx.Done():
		return nil, m.giveUp(ctx, call)
	}
}

// giveUp ends a call whose context has ended. The error contains the reason why the
// previous attempt failed, because the context's error alone says nothing about the
// server.
func (m *mysqlConnector) giveUp(ctx context.Context, call *connectCall) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.waiting, call)
	select {
	case r := <-call.result: // it came at the same moment
		m.keep(r.conn)
	default:
	}
	if m.last != nil {
		return fmt.Errorf("%w, %w", ctx.Err(), m.last)
	}
	return fmt.Errorf("the server has not completed the connection yet: %w", ctx.Err())
}

// open opens a connection and gives it to a caller.
func (m *mysqlConnector) open() {
	ctx, cancel := context.WithTimeout(m.ended, connectTimeout)
	defer cancel()
	conn, err := m.connect(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opening--
	m.last = err
	for call := range m.waiting {
		delete(m.waiting, call)
		call.result <- connectResult{conn, err}
		return
	}
	m.keep(conn)
}

// keep keeps a connection for the next caller. The caller must hold mu.
func (m *mysqlConnector) keep(conn *mysqlConn) {
	if conn == nil {
		return
	}
	if m.ended.Err() == nil {
		select {
		case m.ready <- conn:
			return
		default:
		}
	}
	conn.Close()
}

// connect opens a connection whose transactions run at READ COMMITTED. Setting the
// level once per connection saves a round trip per transaction. The level is set by
// a statement, not by a variable in the DSN, because the variable has different
// names in MySQL 8 and MariaDB 10.
func (m *mysqlConnector) connect(ctx context.Context) (*mysqlConn, error) {
	opened, err := m.Connector.Connect(ctx)
	if err != nil {
		return nil, &connectError{err}
	}
	conn := &mysqlConn{fullConn: opened.(fullConn)}
	const set = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
	if _, err := conn.ExecContext(ctx, set, nil); err != nil {
		conn.Close()
		return nil, &connectError{err}
	}
	if conn.galera, err = isGalera(ctx, conn); err != nil {
		conn.Close()
		return nil, &connectError{err}
	}
	return conn, nil
}

// Close ends the attempts in progress and closes the connections that no caller has
// taken. The pool calls it.
func (m *mysqlConnector) Close() error {
	m.end()
	m.attempt.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	for {
		select {
		case conn := <-m.ready:
			conn.Close()
		default:
			return nil
		}
	}
}

// connectError is the reason why a connection could not be opened.
type connectError struct{ cause error }

func (e *connectError) Error() string { return "cannot connect: " + e.cause.Error() }

func (e *connectError) Unwrap() error { return e.cause }

// fullConn is everything that a connection of the MySQL driver can do.
type fullConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.NamedValueChecker
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// mysqlConn is a connection that the pool drops after the server has said that it
// does not accept writes. The next connection may lead to another server: after a
// failover, the same address leads to the new primary.
type mysqlConn struct {
	fullConn
	unfit  bool
	galera bool
}

// ExecContext implements [driver.ExecerContext].
func (c *mysqlConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	result, err := c.fullConn.ExecContext(ctx, text, args)
	c.look(err)
	return result, err
}

// QueryContext implements [driver.QueryerContext].
func (c *mysqlConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.fullConn.QueryContext(ctx, text, args)
	c.look(err)
	return rows, err
}

func (c *mysqlConn) look(err error) {
	if m, ok := errors.AsType[*mysql.MySQLError](err); ok && mysqlKinds[m.Number] == lost {
		c.unfit = true
	}
}

// IsValid implements [driver.Validator].
func (c *mysqlConn) IsValid() bool { return !c.unfit && c.fullConn.IsValid() }
