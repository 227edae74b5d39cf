package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
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
// never have a connection, because each caller would end the attempt of its own.
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

// servers opens connections to one of several servers that have the same records, such
// as the nodes of a Galera cluster. All connections go to the same server until it
// fails, because transactions that write the same rows through different nodes of a
// Galera cluster conflict.
type servers struct {
	list  []driver.Connector
	addrs []string
	log   slowLog

	mu      sync.Mutex
	current int   // the server that gets the next connection, an index of list
	used    int   // the server that got the last connection
	failure error // why current changed last
}

// newServers returns a connector for one or more servers.
func newServers(configs []*mysql.Config, log slowLog) (driver.Connector, error) {
	s := &servers{log: log}
	for _, cfg := range configs {
		connector, err := mysql.NewConnector(cfg)
		if err != nil {
			return nil, fmt.Errorf("connection to MySQL: %w", err)
		}
		s.list, s.addrs = append(s.list, connector), append(s.addrs, cfg.Addr)
	}
	if len(s.list) == 1 {
		return s.list[0], nil
	}
	return s, nil
}

// Driver implements [driver.Connector].
func (s *servers) Driver() driver.Driver { return s.list[0].Driver() }

// Connect implements [driver.Connector]. It tries each server once.
func (s *servers) Connect(ctx context.Context) (driver.Conn, error) {
	s.mu.Lock()
	at := s.current
	s.mu.Unlock()
	var failed error
	for range s.list {
		conn, err := s.connect(ctx, at)
		if err == nil {
			s.note(at)
			return conn, nil
		}
		err = fmt.Errorf("%s: %w", s.addrs[at], err)
		at = s.leave(at, err)
		if failed == nil {
			failed = err
		} else {
			failed = fmt.Errorf("%w; %w", failed, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, failed
}

// leave makes the server after this one get the next connection, and returns it.
func (s *servers) leave(at int, reason error) (next int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next = (at + 1) % len(s.list)
	if s.current == at {
		s.current, s.failure = next, reason
	}
	return next
}

// note logs that connections go to another server than before.
func (s *servers) note(at int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used != at {
		s.used = at
		s.log.to.Warn("connections to the database now go to another server", "server", s.addrs[at], "reason", s.failure)
	}
}

// connect returns a connection to one of the servers, if this server can write.
func (s *servers) connect(ctx context.Context, at int) (driver.Conn, error) {
	conn, err := s.list[at].Connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkWritable(ctx, conn.(fullConn)); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// checkWritable returns an error if the server is read-only, or is a Galera node that is
// cut off from its cluster.
func checkWritable(ctx context.Context, conn fullConn) error {
	// A Galera node applies the writes of other nodes a moment later. For some time
	// after a failure, two processes may use different nodes, so each transaction first
	// waits until its node has all earlier writes.
	const unknownVariable = 1193 // the server has no Galera
	_, err := conn.ExecContext(ctx, "SET SESSION wsrep_sync_wait = 7", nil)
	if m, ok := errors.AsType[*mysql.MySQLError](err); err != nil && !(ok && m.Number == unknownVariable) {
		return err
	}
	// A node that is cut off refuses this query only because it has a table.
	const query = "SELECT 1 FROM (SELECT 1) AS one WHERE CAST(@@GLOBAL.read_only AS CHAR) IN ('0', 'OFF')"
	rows, err := conn.QueryContext(ctx, query, nil)
	if err != nil {
		return err
	}
	defer rows.Close()
	if err := rows.Next(make([]driver.Value, 1)); err == io.EOF {
		return errors.New("the server is read-only")
	} else if err != nil {
		return err
	}
	return nil
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
	unfit bool
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
