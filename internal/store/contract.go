package store

import (
	"context"
	"database/sql"
	"iter"
	"slices"
	"strings"

	"github.com/driveshare/downstream-node/internal/node"
)

// Contract finds the token's contract for a file, or fails with ErrNotFound.
func (s *Store) Contract(ctx context.Context, tokenID int64, hash node.FileHash) (c node.Contract, err error) {
	defer wrap(&err, "find contract of token %d for file %s", tokenID, hash)
	found, err := s.ContractsNamed(ctx, []node.ContractName{{TokenID: tokenID, FileHash: hash}})
	if err != nil {
		return node.Contract{}, err
	}
	for _, c := range found {
		return c, nil
	}
	return node.Contract{}, ErrNotFound
}

// Contracts finds the token's contracts for files; those that do not exist are
// missing from the map.
func (s *Store) Contracts(ctx context.Context, tokenID int64, hashes []node.FileHash) (found map[node.FileHash]node.Contract, err error) {
	names := make([]node.ContractName, len(hashes))
	for i, hash := range hashes {
		names[i] = node.ContractName{TokenID: tokenID, FileHash: hash}
	}
	named, err := s.ContractsNamed(ctx, names)
	if err != nil {
		return nil, err
	}
	found = make(map[node.FileHash]node.Contract, len(named))
	for name, c := range named {
		found[name.FileHash] = c
	}
	return found, nil
}

// ContractsNamed finds contracts, of any tokens, by what farmers call them;
// those that do not exist are missing from the map.
func (s *Store) ContractsNamed(ctx context.Context, names []node.ContractName) (found map[node.ContractName]node.Contract, err error) {
	defer wrap(&err, "find %d contracts", len(names))
	found = make(map[node.ContractName]node.Contract, len(names))
	names = slices.Clone(names)
	slices.SortFunc(names, node.ContractName.Compare)
	for batch := range slices.Chunk(slices.Compact(names), batchRows) {
		where, args := namedIn(batch)
		err := query(s.read.WithContext(ctx), func(rows *sql.Rows) error {
			var row contractRow
			err := row.scan(rows)
			if err == nil {
				c := row.contract()
				found[c.Name()] = c
			}
			return err
		}, "SELECT "+contractColumns+" FROM contracts WHERE "+where, args...)
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// namedIn is the condition that a contract is one of these, which are sorted
// by token: an OR of ranges of the unique index.
func namedIn(names []node.ContractName) (where string, args []any) {
	sameToken := func(a, b node.ContractName) bool { return a.TokenID == b.TokenID }
	var sql strings.Builder
	for of := range chunkBy(names, sameToken) {
		if sql.Len() > 0 {
			sql.WriteString(" OR ")
		}
		sql.WriteString("token_id = ? AND file_hash IN (" + placeholders(len(of)) + ")")
		args = append(args, of[0].TokenID)
		for i := range of {
			args = append(args, of[i].FileHash[:])
		}
	}
	return sql.String(), args
}

// chunkBy cuts values where two neighbours are not the same.
func chunkBy[T any](values []T, same func(a, b T) bool) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		for len(values) > 0 {
			n := 1
			for n < len(values) && same(values[0], values[n]) {
				n++
			}
			if !yield(values[:n]) {
				return
			}
			values = values[n:]
		}
	}
}

// ContractsAfter lists the token's contracts for files whose hashes come after
// the given one, in their order, at most limit of them: a page. The next one
// begins after the last hash; the first after the zero value. That is the
// order of an index: a page costs no more for a token that has many.
func (s *Store) ContractsAfter(ctx context.Context, tokenID int64, after node.FileHash, limit int) (page []node.Contract, err error) {
	defer wrap(&err, "list contracts of token %d", tokenID)
	err = query(s.read.WithContext(ctx), func(rows *sql.Rows) error {
		var row contractRow
		err := row.scan(rows)
		if err == nil {
			page = append(page, row.contract())
		}
		return err
	}, "SELECT "+contractColumns+" FROM contracts WHERE token_id = ? AND file_hash > ? ORDER BY file_hash LIMIT ?",
		tokenID, after[:], limit)
	return page, err
}
