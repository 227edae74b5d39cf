package store

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// Repaired counts what Repair did.
type Repaired struct {
	Counts int64 // tokens whose counts differed from their contracts
	Rows   int64 // rows deleted because they referred to a row that does not exist
}

// RepairTurn is the name of Repair's turn. A new incarnation of the database makes
// the turn due at once.
const RepairTurn = "repair"

// repairedSetting is the name of the incarnation whose references were repaired.
const repairedSetting = "repaired_incarnation"

// Repair corrects what a transaction of the store cannot cause, but a restored
// backup or a person can: counts of tokens that differ from the tokens' live
// contracts, and rows that refer to rows that do not exist. A restore writes one
// table after the other, without checking foreign keys, and processes may write
// between them.
//
// Repair compares the counts each time. It looks for wrong references only once for
// each incarnation, because that reads whole tables.
func (s *Store) Repair(ctx context.Context, now time.Time) (done Repaired, err error) {
	defer wrap(&err, "repair the records")
	incarnation, err := setting(s.reader(ctx), incarnationSetting)
	if err != nil {
		return done, err
	}
	repaired, err := setting(s.reader(ctx), repairedSetting)
	if err != nil {
		return done, err
	}
	if string(repaired) != string(incarnation) {
		if done.Rows, err = s.repairReferences(ctx); err != nil {
			return done, err
		}
		err = s.transaction(ctx, func(t *tx) error {
			return t.exec("INSERT INTO settings (name, value) VALUES (?, ?)"+s.dialect.orSet("name", "value"), repairedSetting, incarnation)
		})
		if err != nil {
			return done, err
		}
	}
	done.Counts, err = s.repairCounts(ctx, now)
	if err == nil && done != (Repaired{}) {
		_, err = s.BalanceRecord(ctx, now)
	}
	return done, err
}

// repairReferences deletes the rows that refer to a row that does not exist. It also
// notes the files that no row refers to, and CleanContracts deletes these files.
func (s *Store) repairReferences(ctx context.Context) (n int64, err error) {
	for _, from := range []struct{ table, column, to string }{
		{"contracts", "token_id", "tokens"},
		{"contracts", "file_id", "files"},
		{"chunks", "file_id", "files"},
		{"farmer_days", "token_id", "tokens"},
		{"tags", "file_id", "files"},
	} {
		dangling := "NOT EXISTS (SELECT 1 FROM " + from.to + " o WHERE o.id = " + from.table + "." + from.column + ")"
		missing, err := s.reader(ctx).numbers("SELECT DISTINCT " + from.column + " FROM " + from.table + " WHERE " + dangling)
		if err != nil {
			return n, err
		}
		for batch := range slices.Chunk(missing, batchRows) {
			deleted, err := transact(ctx, s, func(t *tx) (int64, error) {
				return t.execCount("DELETE FROM " + from.table + " WHERE " + from.column + " IN " + idList(batch) + " AND " + dangling)
			})
			if err != nil {
				return n, err
			}
			n += deleted
		}
	}
	return n, s.transaction(ctx, func(t *tx) error {
		return t.exec("INSERT INTO orphans (file_id) SELECT f.id FROM files f" +
			" WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.file_id = f.id)" +
			" AND NOT EXISTS (SELECT 1 FROM contracts c WHERE c.file_id = f.id)" +
			" AND NOT EXISTS (SELECT 1 FROM orphans o WHERE o.file_id = f.id)")
	})
}

// liveCounts selects the counts that tokens must have, from an index.
const liveCounts = "SELECT token_id, COUNT(*) AS contracts, SUM(size) AS size FROM contracts WHERE live = 1"

// miscounted selects the tokens whose counts differ from their live contracts. One statement
// sees one state of the database, and every transaction changes a contract together with
// its token.
const miscounted = "SELECT t.id FROM tokens t LEFT JOIN (" + liveCounts + " GROUP BY token_id) c ON c.token_id = t.id" +
	" WHERE t.contracts <> COALESCE(c.contracts, 0) OR t.size <> COALESCE(c.size, 0)"

// repairCounts sets the counts of tokens to the numbers of their live contracts. It
// returns how many tokens had wrong counts.
func (s *Store) repairCounts(ctx context.Context, now time.Time) (n int64, err error) {
	wrong, err := s.reader(ctx).numbers(miscounted)
	if err != nil {
		return 0, err
	}
	for batch := range slices.Chunk(distinct(wrong), batchRows) {
		repaired, err := transact(ctx, s, func(t *tx) (int64, error) { return s.recount(t, batch, now) })
		if err != nil {
			return n, err
		}
		n += repaired
	}
	return n, nil
}

// recount compares the counts of these tokens again, under the tokens' locks.
func (s *Store) recount(t *tx, ids []int64, now time.Time) (n int64, err error) {
	tokens, err := s.lockTokens(t, ids)
	if err != nil {
		return 0, err
	}
	counted := map[int64]node.Totals{}
	var id int64
	var live node.Totals
	err = t.query(func(rows *sql.Rows) error {
		err := rows.Scan(&id, &live.Contracts, &live.Size)
		counted[id] = live
		return err
	}, liveCounts+" AND token_id IN "+idList(ids)+" GROUP BY token_id")
	if err != nil {
		return 0, err
	}
	maps.DeleteFunc(tokens, func(id int64, token *lockedToken) bool { return !token.correct(now, counted[id]) })
	return int64(len(tokens)), s.saveTokens(t, slices.Collect(maps.Values(tokens)))
}
