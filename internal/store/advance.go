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
	err = s.transaction(ctx, func(tx *gorm.DB) error {
		current = make([]node.Contract, 0, len(ids))
		t, err := s.lockToken(tx, tokenID)
		if err != nil {
			return err
		}
		rows, err := s.lockContracts(tx, slices.Clone(ids))
		if err != nil {
			return err
		}
		var changed []node.Contract
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
				changed = append(changed, c)
				t.LastDue = max(t.LastDue, micros(c.Due))
			}
			current = append(current, c)
		}
		if len(changed) == 0 {
			return nil
		}
		if err := saveContracts(tx, changed); err != nil {
			return err
		}
		return s.saveTokens(tx, []*lockedToken{t})
	})
	if err != nil {
		return nil, err
	}
	return current, nil
}
