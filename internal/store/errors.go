package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"

	sqlite "github.com/glebarez/go-sqlite"
	"github.com/go-sql-driver/mysql"
	"gorm.io/gorm"
)

var (
	// ErrUnavailable is wrapped by every error of the database, unless the row or the
	// statement is at fault. It also means that the outcome of a commit is unknown.
	// The caller may retry.
	ErrUnavailable = errors.New("database unavailable")

	// ErrNotFound is returned if the row does not exist.
	ErrNotFound = errors.New("not found")

	// ErrKeyMissing is wrapped by RegisterKeys if the database contains a heartbeat
	// key that is not among the given keys.
	ErrKeyMissing = errors.New("heartbeat key missing")

	// ErrUnsupported is wrapped by CheckServer and Migrate if the node does not run on this
	// kind of database.
	ErrUnsupported = errors.New("unsupported database")

	// ErrOtherOwner is wrapped by Claim if the database belongs to another node.
	ErrOtherOwner = errors.New("the database has another owner")

	// ErrNotWhitelisted is returned if there is a whitelist and the SJCX address is
	// not on it.
	ErrNotWhitelisted = errors.New("address not whitelisted")

	// ErrLowBalance is returned instead, and wraps ErrNotWhitelisted, if the SJCX
	// address is on the whitelist with a balance below the minimum.
	ErrLowBalance = fmt.Errorf("%w: its balance is too low", ErrNotWhitelisted)

	// ErrMaintenanceOverlaps is returned if another maintenance is planned for the same time.
	ErrMaintenanceOverlaps = errors.New("another maintenance is planned for this time")
	// ErrRuleSuspends is returned if a rule has suspended the farmer, and not the operator.
	ErrRuleSuspends = errors.New("a rule has suspended the farmer")
	// ErrTooManyTokens is returned if an IP address has reached its limit of tokens.
	ErrTooManyTokens = errors.New("too many tokens for the IP address")

	// ErrReservationGone is returned by Stock and ExtendLease if the reservation
	// has ended or was released.
	ErrReservationGone = errors.New("the reservation has ended")

	// ErrFileExists is returned by Stock if a new file, of which there will be several
	// copies, is in the store already.
	ErrFileExists = errors.New("file exists")

	errSetBack = errors.New("the database was set back to an earlier state")
	errTagRead = errors.New("the tag was read in part and cannot be read again")
)

// WrongSettings are MySQL's errors about a wrong user, password or name of a database. They stay
// until a person corrects them.
var WrongSettings = []uint16{1044, 1045, 1049}

func unavailable(cause error) error { return fmt.Errorf("%w: %w", ErrUnavailable, cause) }

// wrap adds the description of the operation to *err, and makes *err match the
// errors above.
func wrap(err *error, format string, args ...any) {
	if *err != nil {
		*err = fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), classify(*err))
	}
}

// classify makes an error of the database match ErrUnavailable, unless the row or
// the statement is at fault. There are too many reasons for which a database cannot
// work for a while (a full disk, a cluster node that is cut off, a user limit), so
// the lists below name the faults of rows and statements, which are few.
func classify(err error) error {
	switch {
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrNotFound):
		return err
	case errors.Is(err, gorm.ErrRecordNotFound), errors.Is(err, sql.ErrNoRows):
		return ErrNotFound
	case errors.Is(err, context.DeadlineExceeded):
		return unavailable(err)
	}
	switch kindOf(err) {
	case unable, transient, lost:
		if refused, ok := errors.AsType[*mysql.MySQLError](err); ok && slices.Contains(WrongSettings, refused.Number) {
			err = fmt.Errorf("%w: check the user, the password and the name of the database in the section database of the configuration", err)
		}
		return unavailable(err)
	}
	return err
}

// isConnectionLost reports whether the connection broke, could not be opened, or
// leads to a server that must not be used.
func isConnectionLost(err error) bool { return kindOf(err) == lost }

// isTransient reports whether a repetition of the whole transaction may succeed.
func isTransient(err error) bool { return kindOf(err) == transient }

// isDuplicate reports whether the row violates a unique index.
func isDuplicate(err error) bool { return kindOf(err) == duplicate }

// errorKind is the meaning of an error for a transaction.
type errorKind int

const (
	other     errorKind = iota // the error is not of the database
	unable                     // the database cannot do the work now
	transient                  // a repetition of the transaction may succeed
	lost                       // the connection is lost, or leads to the wrong server
	duplicate                  // a unique index refused a row
	rejected                   // the row or the statement is at fault; every repetition fails
)

func kindOf(err error) errorKind {
	if m, ok := errors.AsType[*mysql.MySQLError](err); ok {
		if kind, ok := mysqlKinds[m.Number]; ok {
			return kind
		}
		return unable
	}
	if s, ok := errors.AsType[*sqlite.Error](err); ok {
		// The low byte of an extended code is the primary code.
		for _, code := range []int{s.Code(), s.Code() & 0xff} {
			if kind, ok := sqliteKinds[code]; ok {
				return kind
			}
		}
		return unable
	}
	if _, ok := errors.AsType[*connectError](err); ok {
		return lost
	}
	var network net.Error
	switch {
	case errors.Is(err, mysql.ErrPktTooLarge):
		return rejected
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return other // the caller's context ended; context.DeadlineExceeded is also a net.Error
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, mysql.ErrInvalidConn), errors.Is(err, mysql.ErrMalformPkt),
		errors.Is(err, mysql.ErrPktSync), errors.Is(err, mysql.ErrPktSyncMul), errors.Is(err, sql.ErrConnDone),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &network):
		return lost
	}
	return other
}

// mysqlKinds are the errors of a server that do not have the kind unable.
//
// A missing table (1146) and a missing column (1054) have the kind unable. The
// schema version is checked at the start, so these errors occur if a person is
// restoring a backup, which deletes and creates the tables.
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

	// This server cannot write. A new connection may lead to one that can.
	1047: lost, // Galera: the node is not part of the cluster
	1290: lost, // read-only option
	1792: lost, // read-only transaction
	1836: lost, // read-only mode

	1062: duplicate,
	1586: duplicate, // with the name of the index

	1052: rejected, // ambiguous column
	1064: rejected, // syntax
	1065: rejected, // empty statement
	1136: rejected, // number of columns and values
	1149: rejected, // syntax
	1153: rejected, // statement larger than max_allowed_packet
	1210: rejected, // wrong arguments
	1222: rejected, // UNION with different numbers of columns
	1241: rejected, // number of columns of an operand
	1242: rejected, // subquery with several rows
	1264: rejected, // value out of range
	1265: rejected, // value truncated
	1292: rejected, // value of the wrong form
	1300: rejected, // invalid text
	1305: rejected, // unknown function
	1364: rejected, // no value for a column
	1365: rejected, // division by zero
	1366: rejected, // value of the wrong type
	1367: rejected, // illegal number
	1406: rejected, // value too long
	1451: rejected, // foreign key: the row is in use
	1452: rejected, // foreign key: no such row
	1582: rejected, // number of arguments
	1690: rejected, // result out of range
	3819: rejected, // check constraint
	4025: rejected, // check constraint (MariaDB)
}

// sqliteKinds are the errors of SQLite that do not have the kind unable.
var sqliteKinds = map[int]errorKind{
	1:    rejected,  // syntax, or no such table or column
	5:    transient, // busy: another connection writes
	6:    transient, // locked: another connection writes
	18:   rejected,  // too large
	19:   rejected,  // constraint
	20:   rejected,  // type mismatch
	21:   rejected,  // misuse of the library
	25:   rejected,  // number of parameters
	1555: duplicate, // primary key
	2067: duplicate, // unique index
}
