package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

type faultRow struct {
	ID           int64
	Start, Ended int64
	Resume       int64
	Cause        string
	Evidence     string
	Voided       int64
}

var faultTable = tableOf[faultRow]("faults")

func (r faultRow) fault() node.Fault {
	f := node.Fault{ID: r.ID, Start: moment(r.Start), Cause: node.FaultCause(r.Cause), Evidence: r.Evidence, Void: r.Voided}
	if r.Ended > 0 {
		f.End, f.Resume = moment(r.Ended), moment(r.Resume)
	}
	return f
}

func selectFaults(t *tx, rest string, args ...any) ([]node.Fault, error) {
	rows, err := selectRows(t, faultTable.columns, "FROM faults "+rest, args...)
	faults := make([]node.Fault, len(rows))
	for i, row := range rows {
		faults[i] = row.fault()
	}
	return faults, err
}

// Faults returns the last faults of the node, the latest first.
func (s *Store) Faults(ctx context.Context, limit int) (faults []node.Fault, err error) {
	defer wrap(&err, "read the faults")
	return selectFaults(s.reader(ctx), "ORDER BY start DESC, id DESC LIMIT ?", limit)
}

// FaultState is what Report found out.
type FaultState struct {
	Known     time.Time    // see node.KnownUntil
	Changed   *node.Fault  // the fault that this call recorded, or nil
	Unapplied []node.Fault // the faults whose effect is not complete; the last one may be open
}

// faultsSetting is the name of the lock under which processes report.
const faultsSetting = "faults"

// dutiesOf returns the duties of a process by its kind.
func dutiesOf(kind string) []node.Duty {
	switch kind {
	case KindAPI:
		return []node.Duty{node.TakeProofs}
	case KindWorker:
		return []node.Duty{node.JudgeProofs}
	case KindStandalone:
		return []node.Duty{node.TakeProofs, node.JudgeProofs}
	}
	return nil
}

// Report looks for a fault of the node. If well is true, it also records that this
// process can do its duties. recovery is how long farmers have to come back after a
// fault. Processes report one after the other, so they agree about the faults.
func (p *Process) Report(ctx context.Context, well bool, recovery time.Duration) (state FaultState, err error) {
	defer wrap(&err, "report for process %s", p.name)
	s := p.store
	return transact(ctx, s, func(t *tx) (FaultState, error) {
		if err := s.lockSetting(t, faultsSetting); err != nil {
			return FaultState{}, err
		}
		micro, err := t.number("SELECT " + s.dialect.clock)
		if err != nil {
			return FaultState{}, err
		}
		now := moment(micro)
		state := FaultState{}
		if state.Unapplied, err = selectFaults(t, "WHERE applied = 0 ORDER BY start, id"); err != nil {
			return state, err
		}
		reports, own, err := p.reports(t)
		if err != nil {
			return state, err
		}
		if err := state.look(t, reports, now, recovery); err != nil {
			return state, err
		}
		if well {
			own = node.Report{Since: own.Continues(now), Last: now}
			err := t.exec("UPDATE processes SET well_since = ?, well = ? WHERE name = ?", micros(own.Since), micro, p.name)
			if err != nil {
				return state, err
			}
			reports = append(reports, p.asReports(own)...)
		}
		state.Known = node.KnownUntil(state.Unapplied, reports, now)
		return state, nil
	})
}

// reports returns the last reports of all processes, and that of this process.
func (p *Process) reports(t *tx) (all []node.Report, own node.Report, err error) {
	err = t.query(func(rows *sql.Rows) error {
		var name, kind string
		var since, last int64
		err := rows.Scan(&name, &kind, &since, &last)
		r := node.Report{Since: moment(since), Last: moment(last)}
		for _, duty := range dutiesOf(kind) {
			r.Duty = duty
			all = append(all, r)
		}
		if name == p.name {
			own = r
		}
		return err
	}, "SELECT name, kind, well_since, well FROM processes WHERE well > 0")
	return all, own, err
}

func (p *Process) asReports(r node.Report) (all []node.Report) {
	for _, duty := range dutiesOf(p.kind) {
		r.Duty = duty
		all = append(all, r)
	}
	return all
}

// look records the begin or the end of a fault.
func (state *FaultState) look(t *tx, reports []node.Report, now time.Time, recovery time.Duration) error {
	var open *node.Fault
	if n := len(state.Unapplied); n > 0 && state.Unapplied[n-1].End.IsZero() {
		open = &state.Unapplied[n-1]
	}
	next := node.NextFault(open, reports, now, recovery)
	if next == nil {
		return nil
	}
	var err error
	if open == nil {
		next.ID, err = t.insertID("INSERT INTO faults (start, cause, evidence) VALUES (?, ?, ?)", micros(next.Start), string(next.Cause), next.Evidence)
		state.Unapplied = append(state.Unapplied, *next)
	} else {
		err = t.exec("UPDATE faults SET ended = ?, resume = ? WHERE id = ?", micros(next.End), micros(next.Resume), next.ID)
		*open = *next
	}
	state.Changed = next
	return err
}

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
// the fault; see node.Fault. MySQL evaluates the assignments in their order.
func (s *Store) moveContracts(t *tx, f faultRow, from, to int64) error {
	const shift = "(? - CASE WHEN due - period > ? THEN due - period ELSE ? END)"
	return t.exec("UPDATE contracts"+s.dialect.byID+" SET expiry = expiry + "+shift+", due = due + "+shift+", version = version + 1, fault_mark = 1 + sequence + answered"+
		" WHERE id BETWEEN ? AND ? AND live = 1 AND expiry > ? AND due - period < ?",
		f.Resume, f.Start, f.Start, f.Resume, f.Start, f.Start, from, to, f.Start, f.Ended)
}

// moveTokens moves the uptime of farmers that had a contract before the end of the
// fault. The time without a contract before the fault is not moved.
func (s *Store) moveTokens(t *tx, f faultRow, from, to int64) error {
	shift := func(column string) string {
		return "(? - CASE WHEN " + column + " > ? THEN " + column + " ELSE ? END)"
	}
	online := " WHEN up_end > ? AND up_start < ? THEN "
	args := []any{
		f.Start, f.Ended, f.Resume, f.Start, f.Start, // last_due
		f.Start, f.Ended, f.Resume, f.Start, f.Start, // up_end
		f.Start, f.Ended, f.Resume, f.Start, f.Start, // up_start
		f.Resume, f.Start, f.Start, // up_since
		from, to, f.Ended,
	}
	return t.exec("UPDATE tokens"+s.dialect.byID+" SET last_due = CASE"+online+"last_due + "+shift("up_start")+" ELSE last_due END,"+
		" up_end = CASE"+online+"up_end + "+shift("up_start")+" ELSE up_end END,"+
		" up_start = CASE"+online+"up_start + "+shift("up_start")+" ELSE up_start END,"+
		" up_since = up_since + "+shift("up_since")+", changed = "+s.dialect.clock+
		" WHERE id BETWEEN ? AND ? AND up_since > 0 AND up_since < ?", args...)
}

// countVoid adds contracts that ended before a time to the last fault before that time.
func countVoid(t *tx, contracts int, before time.Time) error {
	if contracts == 0 {
		return nil
	}
	faults, err := selectFaults(t, "WHERE ended > 0 AND start < ? ORDER BY start DESC LIMIT 1", micros(before))
	if err != nil || len(faults) == 0 {
		return err
	}
	return t.exec("UPDATE faults SET voided = voided + ? WHERE id = ?", contracts, faults[0].ID)
}
