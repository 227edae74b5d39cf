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
	// ErrUnavailable is wrapped where the database cannot be reached, refuses
	// to write, was too busy, or ended a commit without saying how. Trying
	// again later is the answer to all of them.
	ErrUnavailable = errors.New("database unavailable")

	// ErrNotFound is returned for a row that is not there.
	ErrNotFound = errors.New("not found")

	// ErrKeyMissing is wrapped by RegisterKeys where a heartbeat key that the
	// database knows was not given.
	ErrKeyMissing = errors.New("heartbeat key missing")

	// ErrNotWhitelisted is returned for an address that is not on the
	// whitelist while there is one.
	ErrNotWhitelisted = errors.New("address not whitelisted")

	// ErrTooManyTokens is returned where an IP address has its limit of tokens.
	ErrTooManyTokens = errors.New("too many tokens for the IP address")

	// ErrReservationGone is returned by Stock and ExtendLease where the
	// reservation has run out or was released.
	ErrReservationGone = errors.New("reservation gone")

	// ErrFileExists is returned by Stock for a file that the node has already.
	ErrFileExists = errors.New("file exists")

	errTagRead = errors.New("the tag was read in part and cannot be read again")
)

// unavailable makes an error match ErrUnavailable and keeps what it was.
type unavailable struct{ cause error }

func (e unavailable) Error() string   { return ErrUnavailable.Error() + ": " + e.cause.Error() }
func (e unavailable) Unwrap() []error { return []error{ErrUnavailable, e.cause} }

// wrap says in *err what was being done, and sorts it into the errors above.
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
	case isConnectionLost(err), isRefused(err), isTransient(err), errors.Is(err, context.DeadlineExceeded):
		return unavailable{err}
	}
	return err
}

// isConnectionLost says whether the connection broke or could not be made.
func isConnectionLost(err error) bool {
	var network net.Error
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) ||
		errors.Is(err, sql.ErrConnDone) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, &network) || hasNumber(err, mysqlLost)
}

// isRefused says whether the server is there but does not do it: read-only,
// full, shutting down, or not letting us in for now.
func isRefused(err error) bool {
	return hasNumber(err, mysqlRefused) || hasCode(err, sqliteRefused)
}

// isTransient says whether running the whole transaction again may well work.
func isTransient(err error) bool {
	return hasNumber(err, mysqlTransient) || hasCode(err, sqliteBusy)
}

// isDuplicate says whether a unique index refused the row.
func isDuplicate(err error) bool {
	return hasNumber(err, map[uint16]bool{1062: true}) || hasCode(err, map[int]bool{sqliteUnique: true, sqlitePrimaryKey: true})
}

var (
	mysqlTransient = map[uint16]bool{
		1205: true, // lock wait timeout
		1213: true, // deadlock
		1020: true, // record has changed since last read (MariaDB's snapshot isolation)
	}
	mysqlLost = map[uint16]bool{
		1053: true, // server shutdown in progress
		1077: true, // normal shutdown
		1079: true, // shutdown complete
		1152: true, // aborted connection
		1158: true, // network: reading packets
		1159: true, // network: reading timed out
		1160: true, // network: writing packets
		1161: true, // network: writing timed out
		1317: true, // query interrupted
		1927: true, // connection killed
		4031: true, // disconnected for inactivity
	}
	mysqlRefused = map[uint16]bool{
		1021: true, // disk full
		1040: true, // too many connections
		1041: true, // out of memory
		1044: true, // access to the database denied: a grant being changed
		1045: true, // access denied: a password being changed
		1049: true, // database not there yet
		1114: true, // table full
		1203: true, // too many connections of the user
		1226: true, // user limit reached
		1290: true, // read-only option
		1792: true, // read-only transaction
		1836: true, // read-only mode
		1969: true, // statement timeout (MariaDB)
		3024: true, // statement timeout (MySQL)
		3032: true, // server offline
	}
)

func hasNumber(err error, numbers map[uint16]bool) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && numbers[e.Number]
}

// SQLite's primary result codes are the low byte; isDuplicate needs the
// extended ones.
var (
	sqliteBusy    = map[int]bool{5: true, 6: true} // another connection writes
	sqliteRefused = map[int]bool{
		8:  true, // read-only
		10: true, // disk I/O error
		13: true, // disk full
		14: true, // cannot open
	}
)

const (
	sqliteUnique     = 2067
	sqlitePrimaryKey = 1555
)

func hasCode(err error, codes map[int]bool) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (codes[e.Code()] || codes[e.Code()&0xff])
}
