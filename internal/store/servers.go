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

// servers opens connections to one of several servers that have the same records, such
// as the nodes of a Galera cluster. All connections go to the same server until it
// fails, because transactions that write the same rows through different nodes of a
// Galera cluster conflict.
type servers struct {
	list  []driver.Connector
	addrs []string
	log   slowLog

	mu       sync.Mutex
	current  int           // the server that gets the next connection, an index of list
	used     int           // the server that got the last connection
	failure  error         // why current changed last
	patience time.Duration // how long a server may take to open a connection if there are several
}

// firstPatience is short, because a server that hangs accepts connections and then says
// nothing. If no server was fast enough, they get twice as long next time.
const firstPatience = 5 * time.Second

// newServers returns a connector for one or more servers.
func newServers(configs []*mysql.Config, log slowLog) (*servers, error) {
	s := &servers{log: log, patience: firstPatience}
	for _, cfg := range configs {
		connector, err := mysql.NewConnector(cfg)
		if err != nil {
			return nil, fmt.Errorf("connection to MySQL: %w", err)
		}
		s.list, s.addrs = append(s.list, connector), append(s.addrs, cfg.Addr)
	}
	return s, nil
}

// Driver implements [driver.Connector].
func (s *servers) Driver() driver.Driver { return s.list[0].Driver() }

// Connect implements [driver.Connector]. It tries each server once. If none can do
// everything, it returns a connection to a donor.
func (s *servers) Connect(ctx context.Context) (driver.Conn, error) {
	if len(s.list) == 1 {
		return s.open(ctx, 0)
	}
	s.mu.Lock()
	at, patience := s.current, s.patience
	s.mu.Unlock()
	var failed error
	donor := -1
	for range s.list {
		conn, err := s.connect(ctx, at, patience)
		if err == nil {
			s.note(at)
			return conn, nil
		}
		if errors.Is(err, errDonor) && donor < 0 {
			donor = at
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
	if donor >= 0 {
		if conn, err := s.open(ctx, donor); err == nil {
			return conn, nil
		}
	}
	s.mu.Lock()
	s.patience = min(2*s.patience, connectTimeout)
	s.mu.Unlock()
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

// note notes a connection, and logs if connections go to another server than before.
func (s *servers) note(at int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.patience = firstPatience
	if s.used != at {
		s.used = at
		s.log.to.Warn("connections to the database now go to another server", "server", s.addrs[at], "reason", s.failure)
	}
}

// connect returns a connection to one of several servers, if this server can write.
func (s *servers) connect(ctx context.Context, at int, patience time.Duration) (driver.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := s.open(ctx, at)
	if err != nil {
		return nil, err
	}
	if err := checkWritable(ctx, conn); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// open opens a connection to one of the servers. A Galera node applies the writes of other
// nodes a moment later. The processes of a node may use different Galera nodes: for some
// time after a failure, or because one address leads to all of them. So each transaction
// first waits until its Galera node has all earlier writes.
func (s *servers) open(ctx context.Context, at int) (fullConn, error) {
	opened, err := s.list[at].Connect(ctx)
	if err != nil {
		return nil, err
	}
	conn := opened.(fullConn)
	_, err = conn.ExecContext(ctx, "SET SESSION wsrep_sync_wait = 7", nil)
	if err != nil && !isUnknownVariable(err) {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// isGalera reports whether a server is a node of a Galera cluster.
func isGalera(ctx context.Context, conn fullConn) (bool, error) {
	row, err := firstRow(ctx, conn, "SELECT 1 FROM (SELECT 1) AS one WHERE CAST(@@wsrep_on AS CHAR) IN ('1', 'ON')", 1)
	if isUnknownVariable(err) {
		return false, nil // MySQL
	}
	return row != nil, err
}

// isUnknownVariable reports whether the server has no variable of this name, because it has no Galera.
func isUnknownVariable(err error) bool {
	m, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && m.Number == 1193
}

// errDonor is returned for a Galera node that sends its data to another one. Depending on
// the method, it accepts no writes until this is done, and they wait.
var errDonor = errors.New("the Galera node sends its data to another node")

// checkWritable returns an error if the server is read-only, or is a Galera node that is
// cut off from its cluster or is a donor.
func checkWritable(ctx context.Context, conn fullConn) error {
	// A node that is cut off refuses this query only because it has a table.
	writable, err := firstRow(ctx, conn, "SELECT 1 FROM (SELECT 1) AS one WHERE CAST(@@GLOBAL.read_only AS CHAR) IN ('0', 'OFF')", 1)
	if err != nil {
		return err
	}
	if writable == nil {
		return errors.New("the server is read-only")
	}
	state, err := firstRow(ctx, conn, "SHOW STATUS LIKE 'wsrep_local_state'", 2)
	const donor = "2"
	if err == nil && state != nil && fmt.Sprintf("%s", state[1]) == donor {
		err = errDonor
	}
	return err
}

// firstRow returns the first row of a query, or nil if there is none.
func firstRow(ctx context.Context, conn fullConn, query string, columns int) ([]driver.Value, error) {
	rows, err := conn.QueryContext(ctx, query, nil)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	row := make([]driver.Value, columns)
	if err := rows.Next(row); err == io.EOF {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return row, nil
}
