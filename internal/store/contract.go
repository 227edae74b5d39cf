package store

import (
	"context"
	"slices"

	"gorm.io/gorm"

	"github.com/driveshare/downstream-node/internal/node"
)

// Contract finds the token's contract for a file, or fails with ErrNotFound.
func (s *Store) Contract(ctx context.Context, tokenID int64, hash node.FileHash) (c node.Contract, err error) {
	defer wrap(&err, "find contract of token %d for file %s", tokenID, hash)
	var row contractRow
	err = s.read.WithContext(ctx).Where("token_id = ? AND file_hash = ?", tokenID, hash[:]).Take(&row).Error
	if err != nil {
		return node.Contract{}, err
	}
	return row.contract(), nil
}

// Contracts finds the token's contracts for files; those that do not exist are
// missing from the map.
func (s *Store) Contracts(ctx context.Context, tokenID int64, hashes []node.FileHash) (found map[node.FileHash]node.Contract, err error) {
	defer wrap(&err, "find %d contracts of token %d", len(hashes), tokenID)
	found = make(map[node.FileHash]node.Contract, len(hashes))
	for batch := range slices.Chunk(hashes, batchRows) {
		keys := make([][]byte, len(batch))
		for i := range batch {
			keys[i] = batch[i][:]
		}
		var rows []contractRow
		err := s.read.WithContext(ctx).Where("token_id = ? AND file_hash IN ?", tokenID, keys).Find(&rows).Error
		if err != nil {
			return nil, err
		}
		for i := range rows {
			c := rows[i].contract()
			found[c.FileHash] = c
		}
	}
	return found, nil
}

// ContractsAfter lists the token's contracts with ids beyond afterID, in id
// order, at most limit of them: a page. The next one begins after the last id.
func (s *Store) ContractsAfter(ctx context.Context, tokenID, afterID int64, limit int) (page []node.Contract, err error) {
	defer wrap(&err, "list contracts of token %d", tokenID)
	var rows []contractRow
	err = s.read.WithContext(ctx).Where("token_id = ? AND id > ?", tokenID, afterID).Order("id").Limit(limit).
		Find(&rows).Error
	if err != nil {
		return nil, err
	}
	return contracts(rows), nil
}

// saveContracts writes back what challenges and verdicts change on locked
// contracts.
func saveContracts(tx *gorm.DB, changed []node.Contract) error {
	columns := []string{"version", "sequence", "challenge", "state", "due", "answered", "accepted", "wrong", "expiry"}
	changes := make([]change, len(changed))
	for i := range changed {
		c := &changed[i]
		changes[i] = change{c.ID, []any{
			c.Version, c.Sequence, c.Challenge, c.State, micros(c.Due), c.Answered, accepted(c), wrong(c), micros(c.Expiry()),
		}}
	}
	return update(tx, "contracts", columns, changes)
}
