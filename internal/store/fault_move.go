package store

import (
	"context"
	"database/sql"
	"math"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// moveRows limits the rows of one step of ApplyFault.
const moveRows = 2000

// ApplyFault moves deadlines and uptimes after a fault has ended. It moves the contracts
// that were live in the fault. It also moves their farmers' uptimes, so that no uptime
// contains the fault. Each call does a part of the work, and done is true if all the work
// is done. Several processes may call ApplyFault for the same fault.
func (s *Store) ApplyFault(ctx context.Context, id int64) (done bool, err error) {
	defer wrap(&err, "apply fault %d", id)
	return s.applyFault(ctx, id, moveRows)
}

func (s *Store) applyFault(ctx context.Context, id int64, limit int) (done bool, err error) {
	return transact(ctx, s, func(t *tx) (bool, error) {
		// All later statements wait until other processes have ended their step.
		rows, err := selectRows(t, faultTable.columns, "FROM faults WHERE id = ? AND ended > 0 AND applied = 0"+s.dialect.forUpdate, id)
		if err != nil || len(rows) == 0 {
			return true, err
		}
		for _, part := range []struct {
			table, cursor string
			move          func(t *tx, f faultRow, from, to int64) error
		}{
			{"contracts", "next_contract", s.moveContracts},
			{"tokens", "next_token", s.moveTokens},
		} {
			from, err := t.number("SELECT "+part.cursor+" FROM faults WHERE id = ?", id)
			if err != nil {
				return false, err
			}
			last, err := t.number("SELECT COALESCE(MAX(id), -1) FROM (SELECT id FROM "+part.table+s.dialect.byID+
				" WHERE id >= ? ORDER BY id LIMIT ?) batch", from, limit)
			if err != nil {
				return false, err
			}
			if last < 0 {
				continue
			}
			if err := part.move(t, rows[0], from, last); err != nil {
				return false, err
			}
			return false, t.exec("UPDATE faults SET "+part.cursor+" = ? WHERE id = ?", last+1, id)
		}
		return true, t.exec("UPDATE faults SET applied = 1 WHERE id = ?", id)
	})
}

// moveContracts moves the contracts whose current challenge was issued before the end of
// the fault; see node.Fault and node.Contract.Moved. An unanswered challenge gets the length of
// the fault. If a proof was accepted, the farmer may have the next challenge already, or
// asks for it before the fault's Resume, so nothing moves beyond that.
func (s *Store) moveContracts(t *tx, f faultRow, from, to int64) error {
	greatest := s.dialect.greatest
	return t.exec("UPDATE contracts"+s.dialect.byID+" SET expiry = "+greatest+"(?, CASE WHEN answered = 1 THEN expiry ELSE expiry + ? - "+greatest+"(?, due - period) END),"+
		" version = version + 1, fault_mark = "+silentMark+
		" WHERE id BETWEEN ? AND ? AND live = 1 AND expiry > ? AND expiry < ? AND due - period < ?",
		f.Resume, f.Ended, f.Start, from, to, f.Start, f.movesBefore(), f.Ended)
}

// moveTokens moves the uptime of farmers that had a contract before the end of the
// fault. The time without a contract before the fault is not moved. If all contracts of
// a farmer were due after a maintenance, the end of its uptime does not move either.
//
// If the fault began before farmers had to be back from an earlier one, the common time is
// left out once.
func (s *Store) moveTokens(t *tx, f faultRow, from, to int64) error {
	back, err := t.number("SELECT COALESCE(MAX(resume), 0) FROM faults WHERE discarded = 0 AND ended > 0 AND id <> ? AND ended <= ?", f.ID, f.Start)
	if err != nil {
		return err
	}
	// An uptime that an earlier fault has moved can start at its Resume, which can be after Ended.
	began, limit := max(f.Start, back), max(f.Ended, back+1)
	if err := s.leaveOutOfDays(t, f, moment(began), limit, from, to); err != nil {
		return err
	}
	shift := func(column string) string {
		return "(? - " + s.dialect.greatest + "(?, " + column + "))"
	}
	before := f.movesBefore()
	const online = " WHEN up_end > ? AND up_start < ?"
	args := []any{
		f.Start, limit, before, f.Resume, began, // last_due
		f.Start, limit, before, f.Resume, began, // up_end
		f.Start, limit, f.Resume, began, // up_start
		f.Resume, began, // up_since
		from, to, limit,
	}
	return t.exec("UPDATE tokens"+s.dialect.byID+" SET last_due = CASE"+online+" AND up_end < ? THEN last_due + "+shift("up_start")+" ELSE last_due END,"+
		" up_end = CASE"+online+" AND up_end < ? THEN up_end + "+shift("up_start")+" ELSE up_end END,"+
		" up_start = CASE"+online+" THEN up_start + "+shift("up_start")+" ELSE up_start END,"+
		" up_since = up_since + "+shift("up_since")+", changed = "+s.dialect.clock+
		" WHERE id BETWEEN ? AND ? AND up_since > 0 AND up_since < ?", args...)
}

// leaveOutOfDays takes the fault out of the days of farmers whose uptime moves. A farmer
// whose current day contains the whole fault needs nothing: its uptime moves within this day.
func (s *Store) leaveOutOfDays(t *tx, f faultRow, start time.Time, limit, from, to int64) error {
	resume := moment(f.Resume)
	rows, err := selectRows(t, lockedColumns, "FROM tokens"+s.dialect.byID+" WHERE id BETWEEN ? AND ? AND up_end > ? AND up_start < ?"+
		" AND day > 0 AND (day < ? OR day > ?)"+s.dialect.forUpdate, from, to, f.Start, limit, dayOf(resume), dayOf(start))
	if err != nil {
		return err
	}
	tokens := make([]*lockedToken, len(rows))
	for i, row := range rows {
		tokens[i] = s.locked(row)
		tokens[i].leaveOut(start, resume)
	}
	return s.saveTokens(t, tokens)
}

// lookForFault reads what a token must know of faults if a contract begins or is proved at
// from, which is after the end of its stretch. If the uptime still has to move for a fault, the stretch
// ends at the start of the fault. The move leaves out the time after that, so this time must not
// be in the sum of the earlier stretches. A fault that is not recorded yet will begin when the
// processes last reported.
func (s *Store) lookForFault(t *tx, token *lockedToken, from time.Time) error {
	if token.UpSince == 0 || micros(from) <= token.UpEnd {
		return nil
	}
	var unapplied []node.Fault
	suspected := false
	err := t.query(func(rows *sql.Rows) error {
		var start, ended, resume int64
		var cause node.FaultCause
		var moved bool
		err := rows.Scan(&start, &ended, &resume, &cause, &moved)
		if ended > 0 {
			token.resume = later(token.resume, moment(resume))
		}
		if ended == 0 && cause == node.Unreachable {
			suspected = suspected || start < token.UpEnd
		} else if !moved {
			unapplied = append(unapplied, node.Fault{Start: moment(start)})
		}
		return err
	}, "SELECT start, ended, resume, cause, applied = 1 OR next_token > ? FROM faults"+
		" WHERE discarded = 0 AND start <= ? AND (applied = 0 OR resume > ?)", token.ID, micros(from), micros(from))
	if err != nil {
		return err
	}
	reports, _, err := s.reports(t, "", from)
	if err != nil {
		return err
	}
	last, err := lastFault(t)
	if err != nil {
		return err
	}
	known := node.Watch{Reports: reports, Last: last}.KnownUntil(unapplied, from)
	if micros(known) >= token.UpEnd && !suspected {
		return nil
	}
	// Since when proofs fail is an estimate until the fault is recorded.
	for i := range reports {
		reports[i].Proofs = node.ProofCounts{}
	}
	certain := later(node.Watch{Reports: reports}.KnownUntil(nil, from), last.End) // faults do not overlap
	for _, f := range unapplied {
		certain = earlier(certain, f.Start)
	}
	switch {
	case micros(certain) >= token.UpEnd, len(unapplied) == 0 && node.StatedAt(from, certain).Equal(from):
		// It is not known yet whether the end of the stretch is in a fault: the node only suspects
		// itself, or these are the last seconds. So the stretch continues, which is right in both cases
		// except that a gap is not counted if there is no fault.
		token.stretchEnd = from
	default:
		// An earlier fault has already moved the uptime. The stretch does not contain the time
		// before the Resume of that fault.
		resumed, err := t.number("SELECT COALESCE(MAX(resume), 0) FROM faults WHERE discarded = 0 AND ended > 0"+
			" AND (applied = 1 OR next_token > ?) AND resume <= ?", token.ID, micros(from))
		if err != nil {
			return err
		}
		token.stretchEnd = later(certain, moment(resumed))
	}
	return nil
}

// pastFault is a fault as a token's days contain it.
type pastFault struct {
	start, resume time.Time
	moved         bool // the token's uptime has moved
}

// maxPastFaults limits the faults that the days of one farmer leave out.
const maxPastFaults = 1000

// pastFaults lists the faults between two times, the latest first. A fault whose effect
// on the token is not complete counts as one that lasts until to.
func (s *Store) pastFaults(ctx context.Context, token int64, from, to time.Time) ([]pastFault, error) {
	var faults []pastFault
	err := s.reader(ctx).query(func(rows *sql.Rows) error {
		var start, resume int64
		f := pastFault{}
		err := rows.Scan(&start, &resume, &f.moved)
		if f.start, f.resume = moment(start), moment(resume); !f.moved {
			f.resume = to
		}
		faults = append(faults, f)
		return err
	}, "SELECT start, resume, ended > 0 AND (applied = 1 OR next_token > ?) FROM faults"+
		" WHERE discarded = 0 AND start < ? AND (ended = 0 OR resume > ?) ORDER BY start DESC, id DESC LIMIT ?",
		token, micros(to), micros(from), maxPastFaults)
	return faults, err
}

// countVoid adds contracts that ended before a time to the last fault before that time. It
// returns the id of this fault, or 0.
func countVoid(t *tx, contracts int, before time.Time) (fault int64, err error) {
	if contracts == 0 {
		return 0, nil
	}
	faults, err := selectFaults(t, "WHERE ended > 0 AND discarded = 0 AND start < ? ORDER BY start DESC LIMIT 1", micros(before))
	if err != nil || len(faults) == 0 {
		return 0, err
	}
	return faults[0].ID, t.exec("UPDATE faults SET voided = voided + ? WHERE id = ?", contracts, faults[0].ID)
}

// movesBefore is a limit for the deadlines that move. After a maintenance, later
// deadlines do not move, because Postpone made them or they are late enough.
func (r faultRow) movesBefore() int64 {
	if r.Planned > 0 {
		return r.Resume
	}
	return math.MaxInt64
}
