package store

import (
	"context"
	"database/sql"
	"math"
	"time"
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
// the fault; see node.Fault. If a challenge is answered, its due time stays: the field's clients
// ask for the next challenge at the due time that they know, and get it. MySQL evaluates
// the assignments in their order.
func (s *Store) moveContracts(t *tx, f faultRow, from, to int64) error {
	const shift = "(? - CASE WHEN due - period > ? THEN due - period ELSE ? END)"
	return t.exec("UPDATE contracts"+s.dialect.byID+" SET expiry = expiry + "+shift+", due = CASE WHEN answered = 1 THEN due ELSE due + "+shift+" END, version = version + 1, fault_mark = 1 + sequence + answered"+
		" WHERE id BETWEEN ? AND ? AND live = 1 AND expiry > ? AND expiry < ? AND due - period < ?",
		f.Resume, f.Start, f.Start, f.Resume, f.Start, f.Start, from, to, f.Start, f.movesBefore(), f.Ended)
}

// moveTokens moves the uptime of farmers that had a contract before the end of the
// fault. The time without a contract before the fault is not moved. If all contracts of
// a farmer were due after a maintenance, the end of its uptime does not move either.
func (s *Store) moveTokens(t *tx, f faultRow, from, to int64) error {
	if err := s.leaveOutOfDays(t, f, from, to); err != nil {
		return err
	}
	shift := func(column string) string {
		return "(? - CASE WHEN " + column + " > ? THEN " + column + " ELSE ? END)"
	}
	before := f.movesBefore()
	const online = " WHEN up_end > ? AND up_start < ?"
	args := []any{
		f.Start, f.Ended, before, f.Resume, f.Start, f.Start, // last_due
		f.Start, f.Ended, before, f.Resume, f.Start, f.Start, // up_end
		f.Start, f.Ended, f.Resume, f.Start, f.Start, // up_start
		f.Resume, f.Start, f.Start, // up_since
		from, to, f.Ended,
	}
	return t.exec("UPDATE tokens"+s.dialect.byID+" SET last_due = CASE"+online+" AND up_end < ? THEN last_due + "+shift("up_start")+" ELSE last_due END,"+
		" up_end = CASE"+online+" AND up_end < ? THEN up_end + "+shift("up_start")+" ELSE up_end END,"+
		" up_start = CASE"+online+" THEN up_start + "+shift("up_start")+" ELSE up_start END,"+
		" up_since = up_since + "+shift("up_since")+", changed = "+s.dialect.clock+
		" WHERE id BETWEEN ? AND ? AND up_since > 0 AND up_since < ?", args...)
}

// leaveOutOfDays takes the fault out of the days of farmers whose uptime moves. A farmer
// whose current day contains the whole fault needs nothing: its uptime moves within this day.
func (s *Store) leaveOutOfDays(t *tx, f faultRow, from, to int64) error {
	start, resume := moment(f.Start), moment(f.Resume)
	rows, err := selectRows(t, lockedColumns, "FROM tokens"+s.dialect.byID+" WHERE id BETWEEN ? AND ? AND up_end > ? AND up_start < ?"+
		" AND day > 0 AND (day < ? OR day > ?)"+s.dialect.forUpdate, from, to, f.Start, f.Ended, dayOf(resume), dayOf(start))
	if err != nil {
		return err
	}
	tokens := make([]*lockedToken, len(rows))
	for i, row := range rows {
		tokens[i] = locked(row)
		tokens[i].leaveOut(start, resume)
	}
	return s.saveTokens(t, tokens)
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

// countVoid adds contracts that ended before a time to the last fault before that time.
func countVoid(t *tx, contracts int, before time.Time) error {
	if contracts == 0 {
		return nil
	}
	faults, err := selectFaults(t, "WHERE ended > 0 AND discarded = 0 AND start < ? ORDER BY start DESC LIMIT 1", micros(before))
	if err != nil || len(faults) == 0 {
		return err
	}
	return t.exec("UPDATE faults SET voided = voided + ? WHERE id = ?", contracts, faults[0].ID)
}

// movesBefore is a limit for the deadlines that move. After a maintenance, later
// deadlines do not move, because Postpone made them or they are late enough.
func (r faultRow) movesBefore() int64 {
	if r.Planned > 0 {
		return r.Resume
	}
	return math.MaxInt64
}
