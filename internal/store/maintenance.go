package store

import (
	"context"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// Maintenances returns the maintenances that are planned or have begun, the first one
// first.
func (s *Store) Maintenances(ctx context.Context) (planned []node.Fault, err error) {
	defer wrap(&err, "read the maintenances")
	return selectFaults(s.reader(ctx), "WHERE applied = 0 AND planned > 0 AND ended = 0 ORDER BY start, id")
}

// AddMaintenance plans a maintenance. It returns ErrMaintenanceOverlaps if there is one
// at that time already.
func (s *Store) AddMaintenance(ctx context.Context, start, end time.Time, reason string) (added node.Fault, err error) {
	defer wrap(&err, "plan a maintenance")
	added = node.Fault{Start: cut(start), Planned: cut(end), Cause: node.Maintenance, Evidence: reason}
	return added, s.transaction(ctx, func(t *tx) error {
		if err := s.lock(t, faultsSetting); err != nil {
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
// is one at that time. The result is nil if the given maintenance has ended. A second
// call changes nothing.
func (s *Store) DeclareMaintenance(ctx context.Context, want *node.Fault) (declared *node.Fault, err error) {
	defer wrap(&err, "declare a maintenance")
	return transact(ctx, s, func(t *tx) (*node.Fault, error) {
		if err := s.lock(t, faultsSetting); err != nil {
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
		m := node.Fault{Cause: node.Maintenance} // one that has ended
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
		if err := s.lock(t, faultsSetting); err != nil {
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

	// There is a fault that is certain, so farmers are not rated. A node that only suspects itself
	// rates the proofs that arrive: otherwise a farmer could go silent with one contract, so
	// that its wrong proofs for the others do not count.
	unrated bool
}
