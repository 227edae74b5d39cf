package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-sql-driver/mysql"
)

// slowServer is a server that needs a minute less a second to accept a connection.
type slowServer struct {
	driver.Connector
	err      error
	attempts atomic.Int64
	closed   atomic.Int64
}

const slow = connectTimeout - time.Second

func (s *slowServer) Connect(ctx context.Context) (driver.Conn, error) {
	s.attempts.Add(1)
	if err := sleep(ctx, slow); err != nil {
		return nil, err
	}
	if s.err != nil {
		return nil, s.err
	}
	return &slowConn{server: s}, nil
}

type slowConn struct {
	fullConn
	server *slowServer
}

func (*slowConn) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	return nil, nil
}

func (*slowConn) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	return nil, &mysql.MySQLError{Number: 1193, Message: "Unknown system variable 'wsrep_on'"}
}

func (c *slowConn) Close() error { c.server.closed.Add(1); return nil }

// A server needs longer to accept a connection than the callers wait. The attempt
// must continue, so that a later caller gets the connection.
func TestSlowConnectionsAreCompleted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &slowServer{}
		m := newMySQLConnector(server)
		began := time.Now()
		for i := 0; ; i++ {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			conn, err := m.Connect(ctx)
			cancel()
			if err == nil {
				must(t, conn.Close())
				break
			}
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "has not completed") {
				t.Fatal(err)
			}
			if i > 100 {
				t.Fatal("no connection")
			}
		}
		if took := time.Since(began); took > slow+time.Second || server.attempts.Load() != 1 {
			t.Errorf("%d attempts, %v", server.attempts.Load(), took)
		}
		must(t, m.Close())
	})
}

// The reason why the server refuses connections must reach a caller who does not wait
// long enough to see it.
func TestSlowRefusalIsReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMySQLConnector(&slowServer{err: &mysql.MySQLError{Number: 1045, Message: "Access denied for user 'node'"}})
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := m.Connect(ctx)
			cancel()
			wantErr(t, err, context.DeadlineExceeded)
			time.Sleep(slow)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := m.Connect(ctx); err == nil || !strings.Contains(err.Error(), "Access denied for user 'node'") {
			t.Errorf("%v does not contain the server's words", err)
		}
		must(t, m.Close())
	})
}

// Several callers wait for connections and give up. No more connections are opened
// than there were callers at once, and Close closes those that no caller took.
func TestSpareConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &slowServer{}
		m := newMySQLConnector(server)
		const callers = 5
		failed := make(chan error, callers)
		for range 3 {
			for range callers {
				go func() {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					_, err := m.Connect(ctx)
					failed <- err
				}()
			}
			for range callers {
				wantErr(t, <-failed, context.DeadlineExceeded)
			}
		}
		time.Sleep(slow)
		if n := server.attempts.Load(); n != callers {
			t.Errorf("%d attempts for %d callers at once", n, callers)
		}
		must(t, m.Close())
		if n := server.closed.Load(); n != callers {
			t.Errorf("%d of %d connections closed", n, callers)
		}
	})
}

// Close must end attempts that are still in progress.
func TestCloseEndsAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMySQLConnector(&slowServer{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := m.Connect(ctx)
		wantErr(t, err, context.DeadlineExceeded)
		began := time.Now()
		must(t, m.Close())
		if took := time.Since(began); took > 0 {
			t.Errorf("Close took %v", took)
		}
	})
}
