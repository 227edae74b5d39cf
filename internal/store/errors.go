package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"

	sqlite "github.com/glebarez/go-sqlite"
	"github.com/go-sql-driver/mysql"
	"gorm.io/gorm"
)

var (
	// ErrUnavailable is wrapped if the database cannot be reached, refuses to write
	// or is too busy, or if the outcome of a commit is unknown. The caller may
	// retry.
	ErrUnavailable = errors.New("database unavailable")

	// ErrNotFound is returned if the row does not exist.
	ErrNotFound = errors.New("not found")

	// ErrKeyMissing is wrapped by RegisterKeys if the database contains a heartbeat
	// key that is not among the given keys.
	ErrKeyMissing = errors.New("heartbeat key missing")

	// ErrNotWhitelisted is returned if there is a whitelist and the SJCX address is
	// not on it.
	ErrNotWhitelisted = errors.New("address not whitelisted")

	// ErrLowBalance is returned instead, and wraps ErrNotWhitelisted, if the SJCX
	// address is on the whitelist with a balance below the minimum.
	ErrLowBalance = fmt.Errorf("%w: its balance is too low", ErrNotWhitelisted)

	// ErrTooManyTokens is returned if an IP address has reached its limit of tokens.
	ErrTooManyTokens = errors.New("too many tokens for the IP address")

	// ErrReservationGone is returned by Stock and ExtendLease if the reservation
	// has ended or was released.
	ErrReservationGone = errors.New("the reservation has ended")

	// ErrFileExists is returned by Stock if the store already contains the file.
	ErrFileExists = errors.New("file exists")

	errTagRead = errors.New("the tag was read in part and cannot be read again")
)

func unavailable(cause error) error { return fmt.Errorf("%w: %w", ErrUnavailable, cause) }

// wrap adds the description of the operation to *err, and makes *err match the
// errors above.
func wrap(err *error, format string, args ...any) {
	if *err != nil {
		*err = fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), classify(*err))
	}
}

func classify(err error) error {
	switch {
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrNotFound):
		return err
	case errors.Is(err, gorm.ErrRecordNotFound), errors.Is(err, sql.ErrNoRows):
		return ErrNotFound
	case isConnectionLost(err), kindOf(err) == refused, isTransient(err), errors.Is(err, context.DeadlineExceeded):
		return unavailable(err)
	}
	return err
}

// isConnectionLost reports whether the connection broke or could not be opened.
func isConnectionLost(err error) bool {
	var network net.Error
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) ||
		errors.Is(err, sql.ErrConnDone) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, &network) || kindOf(err) == lost
}

// isTransient reports whether a repetition of the whole transaction may succeed.
func isTransient(err error) bool { return kindOf(err) == transient }

// isDuplicate reports whether the row violates a unique index.
func isDuplicate(err error) bool { return kindOf(err) == duplicate }

// errorKind is the meaning of a database error for a transaction.
type errorKind int

const (
	other     errorKind = iota
	transient           // a repetition may succeed
	lost                // the connection is lost
	refused             // the server runs, but is read-only or full, or rejects the node's login for now
	duplicate           // a unique index refused a row
)

func kindOf(err error) errorKind {
	var m *mysql.MySQLError
	var s *sqlite.Error
	switch {
	case errors.As(err, &m):
		return mysqlKinds[m.Number]
	case errors.As(err, &s):
		// The low byte of an extended code is the primary code.
		return max(sqliteKinds[s.Code()], sqliteKinds[s.Code()&0xff])
	}
	return other
}

var mysqlKinds = map[uint16]errorKind{
	1205: transient, // lock wait timeout
	1213: transient, // deadlock
	1048: transient, // NULL in a NOT NULL column: execExactly causes it if another transaction took rows
	1020: transient, // record has changed since last read (MariaDB's snapshot isolation)

	1053: lost, // server shutdown in progress
	1077: lost, // normal shutdown
	1079: lost, // shutdown complete
	1152: lost, // aborted connection
	1158: lost, // network: reading packets
	1159: lost, // network: reading timed out
	1160: lost, // network: writing packets
	1161: lost, // network: writing timed out
	1317: lost, // query interrupted
	1927: lost, // connection killed
	4031: lost, // disconnected for inactivity

	1021: refused, // disk full
	1040: refused, // too many connections
	1041: refused, // out of memory
	1044: refused, // access to the database denied: a grant is being changed
	1045: refused, // access denied: a password is being changed
	1049: refused, // the database does not exist yet
	1114: refused, // table full
	1203: refused, // too many connections of the user
	1226: refused, // user limit reached
	1290: refused, // read-only option
	1792: refused, // read-only transaction
	1836: refused, // read-only mode
	1969: refused, // statement timeout (MariaDB)
	3024: refused, // statement timeout (MySQL)
	3032: refused, // server offline

	1062: duplicate,
}

var sqliteKinds = map[int]errorKind{
	5:    transient, // busy: another connection writes
	6:    transient, // locked: another connection writes
	8:    refused,   // read-only
	10:   refused,   // disk I/O error
	13:   refused,   // disk full
	14:   refused,   // cannot open
	1555: duplicate, // primary key
	2067: duplicate, // unique index
}
