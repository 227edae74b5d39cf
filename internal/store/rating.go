package store

import (
	"context"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// The methods in this file rate a locked token: its evidence, its suspension and its
// events. saveTokens writes them.

// rate adds an event to the token's evidence. The slots of a fault of the node do not
// count, so rate does nothing while a fault is certain.
func (t *lockedToken) rate(at time.Time, add func(*node.Evidence)) {
	t.readEvidence()
	if t.rules.fault || t.unreadable {
		return
	}
	before := t.evidence
	if add(&t.evidence); t.evidence != before {
		t.rated = true
		t.suspend(at)
	}
}

// readEvidence decodes the evidence. If a later version of the node has written it,
// this version leaves it as it is.
func (t *lockedToken) readEvidence() {
	if !t.decoded {
		t.decoded = true
		t.unreadable = t.evidence.UnmarshalBinary(t.Evidence) != nil
	}
}

// suspend suspends the farmer, or lifts its suspension, if the rules say so.
func (t *lockedToken) suspend(at time.Time) {
	if t.readEvidence(); t.unreadable {
		return
	}
	current := node.Suspension{Since: moment(t.Suspended), By: node.Suspender(t.SuspendedBy), Reason: t.SuspendedReason}
	next := t.rules.Suspend(current, t.evidence, t.Heartbeats > 0, at)
	if next != current {
		t.setSuspension(next, at)
	}
}

func (t *lockedToken) setSuspension(s node.Suspension, at time.Time) {
	e := farmerEventRow{At: micros(at), Kind: string(node.EventSuspended), Detail: clip(s.Reason, MaxReason)}
	if s.By == node.NotSuspended {
		e.Kind, s.Reason = string(node.EventLifted), ""
	}
	t.Suspended, t.SuspendedBy, t.SuspendedReason = micros(s.Since), string(s.By), clip(s.Reason, MaxReason)
	t.happened = append(t.happened, e)
}

// MaxReason is the maximum number of characters of a suspension's reason.
const MaxReason = 255

// finishRating prepares the row and the events for saveTokens.
func (t *lockedToken) finishRating() {
	if t.rated {
		t.Evidence, _ = t.evidence.MarshalBinary() // it never fails
		t.rated = false
	}
	for i := range t.happened {
		e := &t.happened[i]
		e.TokenID, e.Number, e.Place = t.ID, t.Events, t.Events%node.KeptEvents
		t.Events++
	}
}

// saveRatings writes the suspensions that have changed, and the last events of each token.
func (s *Store) saveRatings(t *tx, tokens []*lockedToken) error {
	var events []farmerEventRow
	for _, token := range tokens {
		events = append(events, token.happened[max(0, len(token.happened)-node.KeptEvents):]...)
		token.happened = nil
		if token.Suspended != token.old.Suspended || token.SuspendedBy != token.old.SuspendedBy {
			err := t.exec("UPDATE tokens SET suspended = ?, suspended_by = ?, suspended_reason = ?, changed = "+s.dialect.clock+" WHERE id = ?",
				token.Suspended, token.SuspendedBy, token.SuspendedReason, token.ID)
			if err != nil {
				return err
			}
		}
	}
	return insert(t, farmerEventTable, events, s.dialect.orSet("token_id, place", "number", "at", "kind", "file_hash", "fault_id", "detail"))
}

// farmerEventRow is an event of a farmer. A later event of the same place replaces it.
type farmerEventRow struct {
	TokenID, Place, Number int64
	At                     int64
	Kind                   string
	FileHash               []byte // NULL if the event is not about a contract
	FaultID                int64
	Detail                 string
}

var farmerEventTable = tableOf[farmerEventRow]("farmer_events")

// ending returns why a contract ends. Its fields sequence, answered, fault_mark, completed
// and wrong must be set.
func (r *contractRow) ending() node.EventKind {
	switch {
	case r.void():
		return node.EventVoid
	case r.Completed:
		return node.EventCompleted
	case len(r.Wrong) > 0 && !r.Answered:
		return node.EventWrong
	}
	return node.EventExpired
}

// endingColumns are the columns that endContract needs.
var endingColumns = contractTable.only("id", "token_id", "file_id", "file_hash", "size", "period", "expiry", "sequence", "answered", "wrong", "fault_mark", "completed")

// FarmerEvents lists the last events of a farmer, the latest first. It returns
// ErrNotFound if there is no such farmer.
func (s *Store) FarmerEvents(ctx context.Context, farmerID string) (events []node.Event, err error) {
	defer wrap(&err, "list the events of farmer %s", farmerID)
	id, err := s.reader(ctx).tokenOf(farmerID)
	if err != nil {
		return nil, err
	}
	rows, err := selectRows(s.reader(ctx), farmerEventTable.columns, "FROM farmer_events WHERE token_id = ? ORDER BY number DESC", id)
	for _, row := range rows {
		e := node.Event{At: moment(row.At), Kind: node.EventKind(row.Kind), FaultID: row.FaultID, Detail: row.Detail}
		copy(e.FileHash[:], row.FileHash)
		events = append(events, e)
	}
	return events, err
}

// Suspend stops hand-outs to a farmer until Lift. A farmer that is suspended
// by a rule becomes suspended by the operator.
func (s *Store) Suspend(ctx context.Context, farmerID, reason string, now time.Time) (err error) {
	defer wrap(&err, "suspend farmer %s", farmerID)
	return s.changeSuspension(ctx, farmerID, node.Suspension{Since: cut(now), By: node.ByOperator, Reason: reason}, now)
}

// Lift ends the operator's suspension of a farmer, for a reason or "". It returns ErrRuleSuspends if a rule
// has suspended the farmer, because the rule would do so again at once.
func (s *Store) Lift(ctx context.Context, farmerID, reason string, now time.Time) (err error) {
	defer wrap(&err, "lift the suspension of farmer %s", farmerID)
	return s.changeSuspension(ctx, farmerID, node.Suspension{Reason: reason}, now)
}

func (s *Store) changeSuspension(ctx context.Context, farmerID string, to node.Suspension, now time.Time) error {
	return s.transaction(ctx, func(t *tx) error {
		id, err := t.tokenOf(farmerID)
		if err != nil {
			return err
		}
		token, err := s.lockToken(t, id)
		if err != nil {
			return err
		}
		if to.By == node.NotSuspended {
			switch node.Suspender(token.SuspendedBy) {
			case node.NotSuspended:
				return nil
			case node.ByOnline, node.ByCorrect:
				return ErrRuleSuspends
			}
		}
		token.setSuspension(to, now)
		return s.saveTokens(t, []*lockedToken{token})
	})
}

// SetScoreRules sets how the store rates farmers. The caller must call it before any
// other method.
func (s *Store) SetScoreRules(rules node.ScoreRules) { s.rules = rules }

// ScoreRules returns how the store rates farmers.
func (s *Store) ScoreRules() node.ScoreRules { return s.rules }

// locked returns a row as a locked token.
func (s *Store) locked(row tokenRow) *lockedToken {
	seen := s.outlook.Load()
	return &lockedToken{tokenRow: row, old: row, rules: ratingRules{s.rules, seen != nil && seen.unrated}}
}

// ratingRules are the rules that a transaction rates tokens by.
type ratingRules struct {
	node.ScoreRules
	fault bool // there is a fault that is certain, see outlook
}
