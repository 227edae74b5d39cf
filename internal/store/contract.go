package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// contractChanges are the columns that a verdict or a new challenge may change.
var contractChanges = contractTable.only(
	"version", "sequence", "challenge", "state", "due", "answered", "accepted", "wrong", "expiry", "live", "unproven",
)

// Contracts finds contracts. Contracts that do not exist are missing from the
// map.
func (s *Store) Contracts(ctx context.Context, names []node.ContractName) (found map[node.ContractName]node.Contract, err error) {
	defer wrap(&err, "find %d contracts", len(names))
	found = make(map[node.ContractName]node.Contract, len(names))
	names = slices.Clone(names)
	slices.SortFunc(names, node.ContractName.Compare)
	for batch := range slices.Chunk(slices.Compact(names), batchRows) {
		where, args := namedIn(batch)
		rows, err := selectRows(s.reader(ctx), contractTable.columns, "FROM contracts WHERE "+where, args...)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			c := row.contract()
			found[c.Name()] = c
		}
	}
	return found, nil
}

// namedIn returns a condition that is true for the contracts with these names. The
// names are sorted by token. The condition is an OR of ranges of the unique index.
func namedIn(names []node.ContractName) (where string, args []any) {
	var or []string
	for len(names) > 0 {
		token := names[0].TokenID
		n := 0
		args = append(args, token)
		for ; n < len(names) && names[n].TokenID == token; n++ {
			args = append(args, names[n].FileHash[:])
		}
		or = append(or, "token_id = ? AND file_hash IN ("+placeholders(n)+")")
		names = names[n:]
	}
	return strings.Join(or, " OR "), args
}

// ContractsAfter lists at most limit of the token's contracts, in the order of
// their file hashes, starting after the given hash. Pass the zero hash for the
// first page, and the hash of the last listed contract for the next page. The order
// is the order of an index, so the cost of a page does not depend on the number of
// the token's contracts.
func (s *Store) ContractsAfter(ctx context.Context, tokenID int64, after node.FileHash, limit int) (page []node.Contract, err error) {
	defer wrap(&err, "list contracts of token %d", tokenID)
	rows, err := selectRows(s.reader(ctx), contractTable.columns,
		"FROM contracts WHERE token_id = ? AND file_hash > ? ORDER BY file_hash LIMIT ?", tokenID, after[:], limit)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		page = append(page, row.contract())
	}
	return page, nil
}

// lockContracts locks the contracts with these ids, in id order. The caller must
// hold the locks of their tokens. Contracts that do not exist are missing from
// the map.
func (s *Store) lockContracts(t *tx, ids []int64) (map[int64]*contractRow, error) {
	found := make(map[int64]*contractRow, len(ids))
	for batch := range slices.Chunk(distinct(ids), batchRows) {
		rows, err := selectRows(t, contractTable.columns,
			"FROM contracts"+s.dialect.byID+" WHERE id IN "+idList(batch)+" ORDER BY id"+s.dialect.forUpdate)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			found[rows[i].ID] = &rows[i]
		}
	}
	return found, nil
}

// Advance issues the next challenge of each of these contracts that awaits a
// challenge at now. It returns all contracts with these ids, in the given order.
// Ids of contracts that do not exist are left out.
//
// Advance calls next with each contract that awaits a challenge. next must call the
// contract's Issue. If it does not change the contract, there are no more challenges, and
// the contract is completed. If
// next returns an error, no contract changes. next runs within the transaction, and
// runs again if the transaction is repeated.
func (s *Store) Advance(ctx context.Context, tokenID int64, ids []int64, now time.Time, next func(*node.Contract) error) (current []node.Contract, err error) {
	defer wrap(&err, "advance %d contracts of token %d", len(ids), tokenID)
	return pipelined(ctx, s, func(t *tx) ([]node.Contract, error) {
		current := make([]node.Contract, 0, len(ids))
		token, err := s.lockToken(t, tokenID)
		if err != nil {
			return nil, err
		}
		rows, err := s.lockContracts(t, slices.Clone(ids))
		if err != nil {
			return nil, err
		}
		var changes []change[contractRow]
		var completed, copies []int64
		for _, id := range ids {
			row, ok := rows[id]
			if !ok || row.TokenID != tokenID {
				continue
			}
			c := row.contract()
			if c.AwaitsChallenge(now) {
				if err := next(&c); err != nil {
					return nil, err
				}
				if c.Version == row.Version && !row.Completed {
					completed, copies = append(completed, id), append(copies, row.FileID)
				}
			}
			if c.Version != row.Version {
				if due := s.postpone(c.Due, c.Interval, now); due.After(c.Due) {
					c.Due = due
					if err := s.lookForFault(t, token, now); err != nil {
						return nil, err
					}
					token.extendUptime(now, due) // the contract lives until then
				}
				advanced := row.with(&c)
				changes = append(changes, change[contractRow]{id: id, old: row, new: &advanced})
				token.LastDue = max(token.LastDue, advanced.Due)
			}
			current = append(current, c)
		}
		if len(completed) > 0 {
			if err := t.exec("UPDATE contracts SET completed = 1 WHERE id IN " + idList(completed)); err != nil {
				return nil, err
			}
			if err := countCopies(t, copies, 0, 1, time.Time{}); err != nil {
				return nil, err
			}
		}
		if len(changes) == 0 {
			return current, nil
		}
		u := updating[contractRow]{table: contractTable.name, columns: contractChanges}
		if _, err := update(t, s.dialect, u, changes); err != nil {
			return nil, err
		}
		return current, s.saveTokens(t, []*lockedToken{token})
	})
}
