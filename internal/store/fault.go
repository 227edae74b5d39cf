package store

import (
	"context"
	"database/sql"
	"math"
	"slices"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// MaxEvidence is the maximum number of characters of a fault's evidence.
const MaxEvidence = 255

type faultRow struct {
	ID           int64
	Start, Ended int64
	Resume       int64
	Cause        string
	Evidence     string
	Voided       int64
	Planned      int64
	Silent       int64
	Discarded    bool
}

var faultTable = tableOf[faultRow]("faults")

func (r faultRow) fault() node.Fault {
	return node.Fault{
		ID: r.ID, Start: moment(r.Start), End: moment(r.Ended), Resume: moment(r.Resume),
		Cause: node.FaultCause(r.Cause), Evidence: r.Evidence, Void: r.Voided,
		Planned: moment(r.Planned), Silent: r.Silent, Discarded: r.Discarded,
	}
}

// movesBefore is a limit for the deadlines that move. After a maintenance, later
// deadlines do not move, because Postpone made them or they are late enough.
func (r faultRow) movesBefore() int64 {
	if r.Planned > 0 {
		return r.Resume
	}
	return math.MaxInt64
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
	return selectFaults(s.reader(ctx), "WHERE discarded = 0 AND start <= "+s.dialect.clock+" ORDER BY start DESC, id DESC LIMIT ?", limit)
}

// Maintenances returns the maintenances that are planned or have begun, the first one
// first.
func (s *Store) Maintenances(ctx context.Context) (planned []node.Fault, err error) {
	defer wrap(&err, "read the maintenances")
	return selectFaults(s.reader(ctx), "WHERE applied = 0 AND planned > 0 AND ended = 0 ORDER BY start, id")
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

// Seen is what a process knows when it reports.
type Seen struct {
	Well   bool // this process can do its duties
	Proofs node.ProofCounts
	Back   []int64 // tokens whose farmers asked for contracts whose deadlines may still move
}

// FaultRules are the settings that Report needs.
type FaultRules struct {
	Interval time.Duration
	Hold     time.Duration // how long an unreachable node may hold deadlines
}

// Report reports what a process has seen, and looks for a fault of the node. Processes
// report one after the other, so they agree about the faults.
func (p *Process) Report(ctx context.Context, seen Seen, rules FaultRules) (state FaultState, err error) {
	defer wrap(&err, "report for process %s", p.name)
	s := p.store
	var next outlook
	state, err = transact(ctx, s, func(t *tx) (FaultState, error) {
		state := FaultState{}
		if err := s.lockSetting(t, faultsSetting); err != nil {
			return state, err
		}
		micro, err := t.number("SELECT " + s.dialect.clock)
		if err != nil {
			return state, err
		}
		now := moment(micro)
		unapplied, err := selectFaults(t, "WHERE applied = 0 ORDER BY start, id")
		if err != nil {
			return state, err
		}
		next = outlook{}
		for _, f := range unapplied {
			if f.Start.After(now) {
				next.coming = append(next.coming, f)
			} else {
				state.Unapplied = append(state.Unapplied, f)
			}
		}
		w := node.Watch{Interval: rules.Interval, Hold: rules.Hold}
		var own node.Report
		if w.Reports, own, err = p.reports(t, now); err != nil {
			return state, err
		}
		if err := p.look(t, &state, &w, now); err != nil {
			return state, err
		}
		if seen.Well {
			own.Since, own.Last, own.Proofs = own.Continues(now), now, seen.Proofs
			err := t.exec("UPDATE processes SET well_since = ?, well = ?, decided = ?, undecided = ?, failing_since = ?, failing_until = ? WHERE name = ?",
				micros(own.Since), micro, own.Proofs.Decided, own.Proofs.Undecided, micros(own.Proofs.FailingSince), micros(own.Proofs.FailingUntil), p.name)
			if err != nil {
				return state, err
			}
			w.Reports = append(w.Reports, p.asReports(own)...)
		}
		state.Known = w.KnownUntil(state.Unapplied, now)
		if len(seen.Back) == 0 {
			return state, nil
		}
		return state, t.exec("UPDATE tokens SET returned = ? WHERE id IN "+idList(seen.Back), micro)
	})
	if err == nil {
		next.fault = len(state.Unapplied) > 0
		s.outlook.Store(&next)
	}
	return state, err
}

// postpone moves a due time out of the planned maintenances. While there is a fault, it also
// gives the farmer the time to come back: the due time will move, but the farmer will not
// hear of it.
func (s *Store) postpone(due time.Time, interval time.Duration, now time.Time) time.Time {
	seen := s.outlook.Load()
	if seen == nil {
		return due
	}
	if back := cut(now.Add(node.Recovery(interval))); seen.fault && due.Before(back) {
		due = back
	}
	return cut(node.Postpone(due, seen.coming, interval))
}

// outlook is what a Process of a store has seen last.
type outlook struct {
	coming []node.Fault // the planned maintenances
	fault  bool         // there is a fault whose effect is not complete
}

// reports returns the last reports of all processes, and that of this process. Reports
// later than now are from before a step back of the clock, and do not count.
func (p *Process) reports(t *tx, now time.Time) (all []node.Report, own node.Report, err error) {
	err = t.query(func(rows *sql.Rows) error {
		var name, kind string
		var since, last, failingSince, failingUntil int64
		r := node.Report{}
		err := rows.Scan(&name, &kind, &since, &last, &r.Proofs.Decided, &r.Proofs.Undecided, &failingSince, &failingUntil)
		r.Since, r.Last = moment(since), moment(last)
		r.Proofs.FailingSince, r.Proofs.FailingUntil = moment(failingSince), moment(failingUntil)
		for _, duty := range dutiesOf(kind) {
			r.Duty = duty
			all = append(all, r)
		}
		if name == p.name {
			own = r
		}
		return err
	}, "SELECT name, kind, well_since, well, decided, undecided, failing_since, failing_until FROM processes WHERE well BETWEEN 1 AND ?", micros(now))
	return all, own, err
}

func (p *Process) asReports(r node.Report) (all []node.Report) {
	for _, duty := range dutiesOf(p.kind) {
		r.Duty = duty
		all = append(all, r)
	}
	return all
}

// look records the begin, a change or the end of a fault.
func (p *Process) look(t *tx, state *FaultState, w *node.Watch, now time.Time) error {
	s := p.store
	for i := range state.Unapplied {
		if f := &state.Unapplied[i]; f.End.IsZero() {
			w.Open = f
			break
		}
	}
	last, err := selectFaults(t, "WHERE ended > 0 ORDER BY ended DESC LIMIT 1")
	if err != nil {
		return err
	}
	if len(last) > 0 {
		w.Last = last[0]
	}
	// Counting silent farmers can take a second, so workers leave it to the API replicas.
	counts := p.kind != KindWorker
	if !counts && w.Open != nil && w.Open.Cause == node.Unreachable {
		return nil
	}
	// Deadlines that have yet to move would look like silence.
	if counts && (w.Hold > 0 && len(state.Unapplied) == 0 || w.Open != nil && w.Open.Cause == node.Unreachable) {
		if w.Silence, err = s.silence(t, w, now); err != nil {
			return err
		}
	}
	next := w.Next(now)
	if next == nil {
		return nil
	}
	switch {
	case w.Open == nil:
		next.ID, err = t.insertID("INSERT INTO faults (start, cause, evidence, silent) VALUES (?, ?, ?, ?)",
			micros(next.Start), string(next.Cause), next.Evidence, next.Silent)
		state.Unapplied = append(state.Unapplied, *next)
	case next.Discarded && !next.End.After(next.Start):
		err = t.exec("DELETE FROM faults WHERE id = ?", next.ID)
	default:
		err = t.exec("UPDATE faults SET start = ?, ended = ?, resume = ?, cause = ?, evidence = ?, silent = ?, discarded = ?, applied = ? WHERE id = ?",
			micros(next.Start), micros(next.End), micros(next.Resume), string(next.Cause), next.Evidence, next.Silent, next.Discarded, next.Discarded, next.ID)
	}
	if w.Open == nil || !next.End.IsZero() {
		state.Changed = next
	}
	if w.Open != nil {
		*w.Open = *next
		state.Unapplied = slices.DeleteFunc(state.Unapplied, func(f node.Fault) bool { return f.Discarded })
	}
	return err
}

// provedSample is how many contracts silence looks at, beside as many as are missing.
const provedSample = 1000

// silence counts the proofs that were expected and did not arrive. A proof is expected
// one interval before its contract expires: an accepted proof makes the expiry one
// interval later.
func (s *Store) silence(t *tx, w *node.Watch, now time.Time) (silence node.Silence, err error) {
	// Contracts with these expiries have sent no proof since it was expected.
	expiry := func(expected time.Time) int64 { return micros(expected.Add(w.Interval)) }
	until := expiry(now.Add(-w.Interval / 4))
	// Farmers that were silent when the last fault ended are dead.
	from := max(micros(now), expiry(w.Last.End))
	err = t.query(func(rows *sql.Rows) error { return rows.Scan(&silence.Missing, &silence.Farmers) },
		"SELECT COUNT(*), COUNT(DISTINCT token_id) FROM contracts WHERE live = 1 AND expiry > ? AND expiry <= ?", from, until)
	if err != nil {
		return silence, err
	}
	// atMost counts live contracts, but not more than it must.
	atMost := func(limit int64, where string, args ...any) (int64, error) {
		return t.number("SELECT COUNT(*) FROM (SELECT id FROM contracts WHERE live = 1 AND "+where+" LIMIT ?) some", append(args, limit)...)
	}
	if silence.Missing > 0 && w.Open == nil {
		// A contract that a fault moved can expire as late without a proof. The sample is
		// limited, because after a fault these can be all contracts.
		silence.Proved, err = t.number("SELECT COUNT(*) FROM (SELECT sequence, answered, fault_mark FROM contracts"+
			" WHERE live = 1 AND expiry > ? AND expiry <= ? LIMIT ?) some WHERE fault_mark <> 1 + sequence + answered",
			until+w.Interval.Microseconds(), expiry(now.Add(w.Interval)), provedSample+silence.Missing)
	}
	if err != nil || w.Open == nil {
		return silence, err
	}
	silence.Away, err = t.number("SELECT COUNT(DISTINCT c.token_id) FROM contracts c JOIN tokens t ON t.id = c.token_id"+
		" WHERE c.live = 1 AND c.expiry <= ? AND t.returned < ?", until, micros(w.Open.Start))
	if err != nil {
		return silence, err
	}
	window := node.ProofWindow(w.Interval)
	silence.Recent, err = t.number("SELECT COUNT(*) FROM contracts WHERE live = 1 AND expiry > ? AND expiry <= ?",
		expiry(now.Add(-2*window)), expiry(now.Add(-window)))
	if err != nil {
		return silence, err
	}
	missed, err := atMost(1, "expiry <= ?", micros(now))
	silence.Missed = missed > 0
	return silence, err
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

// AddMaintenance plans a maintenance. It returns ErrMaintenanceOverlaps if there is one
// at that time already.
func (s *Store) AddMaintenance(ctx context.Context, start, end time.Time, reason string) (added node.Fault, err error) {
	defer wrap(&err, "plan a maintenance")
	added = node.Fault{Start: cut(start), Planned: cut(end), Cause: node.Maintenance, Evidence: reason}
	return added, s.transaction(ctx, func(t *tx) error {
		if err := s.lockSetting(t, faultsSetting); err != nil {
			return err
		}
		return plan(t, &added, false)
	})
}

// plan records a maintenance, and sets its ID.
func plan(t *tx, m *node.Fault, declared bool) error {
	others, err := t.number("SELECT COUNT(*) FROM faults WHERE planned > ? AND start < ? AND ended = 0", micros(m.Start), micros(m.Planned))
	if err != nil {
		return err
	}
	if others > 0 {
		return ErrMaintenanceOverlaps
	}
	m.ID, err = t.insertID("INSERT INTO faults (start, planned, cause, evidence, declared) VALUES (?, ?, ?, ?, ?)",
		micros(m.Start), micros(m.Planned), string(m.Cause), m.Evidence, declared)
	return err
}

// DeclareMaintenance makes the declared maintenance the given one; nil is none. It
// cancels an earlier declared maintenance, or ends it if it has begun. A maintenance
// of AddMaintenance stays, and DeclareMaintenance returns ErrMaintenanceOverlaps if there
// is one at that time. The result is nil if the given maintenance is over. A second
// call changes nothing.
func (s *Store) DeclareMaintenance(ctx context.Context, want *node.Fault) (declared *node.Fault, err error) {
	defer wrap(&err, "declare a maintenance")
	return transact(ctx, s, func(t *tx) (*node.Fault, error) {
		if err := s.lockSetting(t, faultsSetting); err != nil {
			return nil, err
		}
		micro, err := t.number("SELECT " + s.dialect.clock)
		if err != nil {
			return nil, err
		}
		earlier, err := selectFaults(t, "WHERE declared = 1 AND ended = 0")
		if err != nil {
			return nil, err
		}
		now := moment(micro)
		m := node.Fault{Cause: node.Maintenance} // one that is over
		if want != nil {
			// What has begun cannot begin earlier.
			m.Start, m.Planned, m.Evidence = later(cut(want.Start), now), cut(want.Planned), want.Evidence
		}
		for _, e := range earlier {
			switch {
			case e.Start.After(now):
				err = t.exec("DELETE FROM faults WHERE id = ?", e.ID)
			case m.Start.Equal(now) && m.Planned.After(now): // it has begun and continues
				m.ID, m.Start = e.ID, e.Start
				err = t.exec("UPDATE faults SET planned = ?, evidence = ? WHERE id = ?", micros(m.Planned), m.Evidence, e.ID)
			case e.Planned.After(now):
				err = t.exec("UPDATE faults SET planned = ? WHERE id = ?", micro, e.ID)
			}
			if err != nil {
				return nil, err
			}
		}
		if m.ID == 0 && m.Planned.After(now) {
			err = plan(t, &m, true)
		}
		if m.Planned.After(now) {
			return &m, err
		}
		return nil, err
	})
}

// EndMaintenance cancels a maintenance, or ends it early if it has begun. It returns
// ErrNotFound if there is no such maintenance.
func (s *Store) EndMaintenance(ctx context.Context, id int64) (err error) {
	defer wrap(&err, "end maintenance %d", id)
	return s.transaction(ctx, func(t *tx) error {
		if err := s.lockSetting(t, faultsSetting); err != nil {
			return err
		}
		deleted, err := t.execCount("DELETE FROM faults WHERE id = ? AND planned > 0 AND ended = 0 AND start > "+s.dialect.clock, id)
		if err != nil || deleted > 0 {
			return err
		}
		ended, err := t.execCount("UPDATE faults SET planned = "+s.dialect.clock+" WHERE id = ? AND planned > 0 AND ended = 0", id)
		if err == nil && ended == 0 {
			err = ErrNotFound
		}
		return err
	})
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
