package store

import (
	"context"
	"database/sql"
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
		if err := s.lock(t, faultsSetting); err != nil {
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
		if w.Reports, own, err = s.reports(t, p.name, now); err != nil {
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
		next.unrated = slices.ContainsFunc(state.Unapplied, func(f node.Fault) bool {
			return f.Cause != node.Unreachable || !f.End.IsZero()
		})
		s.outlook.Store(&next)
	}
	return state, err
}

// knownUntil is node.KnownUntil for a caller that does not report.
func (s *Store) knownUntil(ctx context.Context, now time.Time) (time.Time, error) {
	return transact(ctx, s, func(t *tx) (known time.Time, err error) {
		w := node.Watch{}
		if w.Reports, _, err = s.reports(t, "", now); err != nil {
			return known, err
		}
		if w.Last, err = lastFault(t); err != nil {
			return known, err
		}
		unapplied, err := selectFaults(t, "WHERE applied = 0 AND start <= ?", micros(now))
		return w.KnownUntil(unapplied, now), err
	})
}

// reports returns the last reports of all processes, and that of the process with this name. Reports
// later than now are from before a step back of the clock, and do not count.
func (s *Store) reports(t *tx, process string, now time.Time) (all []node.Report, own node.Report, err error) {
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
		if name == process {
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
	var err error
	if w.Last, err = lastFault(t); err != nil {
		return err
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

// lastFault returns the fault that ended last, or the zero value.
func lastFault(t *tx) (last node.Fault, err error) {
	faults, err := selectFaults(t, "WHERE ended > 0 ORDER BY ended DESC LIMIT 1")
	if len(faults) > 0 {
		last = faults[0]
	}
	return last, err
}

// provedSample is how many contracts silence looks at, beside as many as are missing.
const provedSample = 1000

// returned reports whether farmers have come back after the last fault: those of at least a
// fifth of the contracts. Otherwise they may be cut off since then.
func (s *Store) returned(t *tx) (bool, error) {
	var back, away int64
	err := t.query(func(rows *sql.Rows) error { return rows.Scan(&back, &away) },
		"SELECT COALESCE(SUM(NOT "+silent+"), 0), COALESCE(SUM("+silent+"), 0)"+
			" FROM (SELECT fault_mark, sequence, answered FROM contracts WHERE live = 1 LIMIT ?) some", provedSample)
	return away <= 4*back, err
}

// silence counts the proofs that were expected and did not arrive. A proof is expected
// one interval before its contract expires: an accepted proof makes the expiry one
// interval later. No proof is expected for a completed contract, and a farmer that has sent a
// wrong one is not silent.
func (s *Store) silence(t *tx, w *node.Watch, now time.Time) (silence node.Silence, err error) {
	// Contracts with these expiries have sent no proof since it was expected.
	expiry := func(expected time.Time) int64 { return micros(expected.Add(w.Interval)) }
	until := expiry(now.Add(-w.Interval / 4))
	// Farmers that are still silent since the last fault ended are dead.
	from, dead := micros(now), ""
	if w.Last.Discarded {
		from = max(from, expiry(w.Last.End))
	}
	returned, err := s.returned(t)
	if err != nil {
		return silence, err
	}
	if returned {
		dead = " AND NOT " + silent
	}
	err = t.query(func(rows *sql.Rows) error { return rows.Scan(&silence.Missing, &silence.Farmers) },
		"SELECT COUNT(*), COUNT(DISTINCT token_id) FROM contracts WHERE live = 1 AND completed = 0 AND LENGTH(wrong) = 0 AND expiry > ? AND expiry <= ?"+dead, from, until)
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
			" WHERE live = 1 AND expiry > ? AND expiry <= ? LIMIT ?) some WHERE NOT "+silent,
			until+w.Interval.Microseconds(), expiry(now.Add(w.Interval)), provedSample+silence.Missing)
	}
	if err != nil || w.Open == nil {
		return silence, err
	}
	// A contract that expired before the fault is not part of it: if the sweeper ends it, its farmer has not
	// come back.
	began := micros(w.Open.Start)
	silence.Away, err = t.number("SELECT COUNT(DISTINCT c.token_id) FROM contracts c JOIN tokens t ON t.id = c.token_id"+
		" WHERE c.live = 1 AND c.completed = 0 AND LENGTH(c.wrong) = 0 AND c.expiry > ? AND c.expiry <= ? AND t.returned < ?", began, until, began)
	if err != nil {
		return silence, err
	}
	window := node.ProofWindow(w.Interval)
	silence.Recent, err = t.number("SELECT COUNT(*) FROM contracts WHERE live = 1 AND completed = 0 AND expiry > ? AND expiry <= ?",
		expiry(now.Add(-2*window)), expiry(now.Add(-window)))
	if err != nil {
		return silence, err
	}
	missed, err := atMost(1, "completed = 0 AND expiry > ? AND expiry <= ?", began, micros(now))
	silence.Missed = missed > 0
	return silence, err
}
