package store

import (
	"context"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/driveshare/downstream-node/internal/node"
)

// Advance moves on those of the token's contracts that await a challenge at
// now, and returns all of them as they are then, in the order of ids; those
// that do not exist are left out.
//
// next is given each contract that awaits one and calls its Issue; a contract
// that it leaves alone stays as it is, an error of it changes nothing at all.
// It runs within the transaction, and again where that is repeated.
func (s *Store) Advance(ctx context.Context, tokenID int64, ids []int64, now time.Time, next func(*node.Contract) error) (current []node.Contract, err error) {
	defer wrap(&err, "advance %d contracts of token %d", len(ids), tokenID)
	err = s.pipelined(ctx, func(tx *gorm.DB) error {
		current = make([]node.Contract, 0, len(ids))
		t, err := s.lockToken(tx, tokenID)
		if err != nil {
			return err
		}
		rows, err := s.lockContracts(tx, slices.Clone(ids))
		if err != nil {
			return err
		}
		var changes []change
		for _, id := range ids {
			row, ok := rows[id]
			if !ok || row.TokenID != tokenID {
				continue
			}
			c := row.contract()
			if c.AwaitsChallenge(now) {
				if err := next(&c); err != nil {
					return err
				}
			}
			if c.Version != row.Version {
				changes = append(changes, advanced(row, &c))
				t.LastDue = max(t.LastDue, micros(c.Due))
			}
			current = append(current, c)
		}
		if len(changes) == 0 {
			return nil
		}
		if _, err := s.update(tx, advancing, changes); err != nil {
			return err
		}
		return s.saveTokens(tx, []*lockedToken{t})
	})
	if err != nil {
		return nil, err
	}
	return current, nil
}

// advancing is what a new challenge changes, written as differences where these
// are the same for many contracts and the values are not.
var advancing = updating{table: "contracts", columns: []string{
	"version = version + %", "sequence = sequence + %", "challenge", "state", "due = due + %", "answered", "accepted", "wrong", "expiry",
}}

// advanced is what becomes of a row with a new challenge.
func advanced(row *contractRow, c *node.Contract) change {
	was := row.contract()
	values := func(c *node.Contract) []value {
		return []value{
			integer(c.Version - row.Version), integer(c.Sequence - row.Sequence), blob(c.Challenge), blob(c.State),
			integer(micros(c.Due) - row.Due), flag(c.Answered), blob(c.Accepted[:]), blob(wrong(c)), integer(micros(c.Expiry())),
		}
	}
	return change{id: row.ID, old: values(&was), new: values(c)}
}
