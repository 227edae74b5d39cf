package store

import (
	"context"
	"database/sql"
	"time"
)

// Act is something that an administrator did to the node with a command. The records hold
// it, because the log of a command reaches only the terminal that it ran in.
type Act struct {
	id        int64
	At        time.Time
	Who, What string
}

// The widths of the columns.
const (
	maxWho  = 128
	maxWhat = 512
)

// RecordAct records an act. Acts are few, so they are kept for ever.
func (s *Store) RecordAct(ctx context.Context, who, what string) (err error) {
	defer wrap(&err, "record the act of %s", who)
	return s.transaction(ctx, func(t *tx) error {
		return t.exec("INSERT INTO acts (at, who, what, logged) VALUES ("+s.dialect.clock+", ?, ?, 0)", clip(who, maxWho), clip(what, maxWhat))
	})
}

// Acts returns the last acts, the newest first.
func (s *Store) Acts(ctx context.Context, limit int) (acts []Act, err error) {
	defer wrap(&err, "list the administrative acts")
	err = s.reader(ctx).query(appendAct(&acts), "SELECT id, at, who, what FROM acts ORDER BY id DESC LIMIT ?", limit)
	return acts, err
}

// loggedActs limits the acts that LogActs reads at a time.
const loggedActs = 100

// LogActs calls log with each act that was not logged before, the oldest first. It marks the acts
// after log has returned, so if the process ends between the two, the next call logs them again. One
// process at a time must call it, because several would log the same acts.
func (s *Store) LogActs(ctx context.Context, log func(Act)) (err error) {
	defer wrap(&err, "log the administrative acts")
	for after := int64(0); ; {
		var acts []Act
		err := s.reader(ctx).query(appendAct(&acts), "SELECT id, at, who, what FROM acts WHERE logged = 0 AND id > ? ORDER BY id LIMIT ?", after, loggedActs)
		if err != nil || len(acts) == 0 {
			return err
		}
		for _, act := range acts {
			log(act)
			after = act.id
		}
		// A command may have recorded another act since, so the ids are named.
		logged := "UPDATE acts SET logged = 1 WHERE id IN " + idList(idsOf(acts, func(a Act) int64 { return a.id }))
		if err := s.transaction(ctx, func(t *tx) error { return t.exec(logged) }); err != nil {
			return err
		}
	}
}

func appendAct(acts *[]Act) func(*sql.Rows) error {
	return func(rows *sql.Rows) error {
		var a Act
		var at int64
		err := rows.Scan(&a.id, &at, &a.Who, &a.What)
		a.At = moment(at)
		*acts = append(*acts, a)
		return err
	}
}
