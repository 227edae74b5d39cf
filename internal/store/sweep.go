package store

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"
)

// Cleaned counts what Clean did.
type Cleaned struct {
	Expired      int64 // contracts marked as expired
	Contracts    int64 // contracts deleted
	Tags         int64 // tags deleted although their files remain
	Files        int64 // files deleted
	Reservations int64
	Losses       int64 // records of lost copies deleted
	IPs          int64
}

// cleanRows limits the rows of one step of Clean.
const cleanRows = 1000

// Clean does all of the sweeper's work in one call. It spares what the sweeper spares: contracts
// that expired less than grace ago, or that a fault of the node may have kept from being proved.
func (s *Store) Clean(ctx context.Context, keep, grace time.Duration, now time.Time) (done Cleaned, err error) {
	defer wrap(&err, "clean")
	known, err := s.knownUntil(ctx, now)
	if err != nil {
		return done, err
	}
	if done, err = s.CleanContracts(ctx, keep, earlier(known, now.Add(-grace))); err != nil {
		return done, err
	}
	done.IPs, err = s.PruneIPs(ctx)
	return done, err
}

// CleanContracts marks contracts that expired before now, and deletes contracts
// that expired more than keep ago. Then it deletes the files and tags that no row
// refers to any more. Its cost depends on the number of rows to change, not on the
// size of the tables.
func (s *Store) CleanContracts(ctx context.Context, keep time.Duration, now time.Time) (done Cleaned, err error) {
	defer wrap(&err, "clean contracts")
	for _, step := range []struct {
		count *int64
		run   func() (int64, error)
	}{
		{&done.Expired, func() (int64, error) { return s.Expire(ctx, now, cleanRows) }},
		{&done.Contracts, func() (int64, error) { return s.deleteExpired(ctx, now.Add(-keep), cleanRows) }},
		{&done.Tags, func() (int64, error) { return s.deleteTags(ctx, cleanRows) }},
		{&done.Files, func() (int64, error) { return s.deleteOrphanFiles(ctx, cleanRows) }},
		{&done.Losses, func() (int64, error) { return s.pruneLosses(ctx, now.Add(-lossesKept), cleanRows) }},
	} {
		for n := int64(cleanRows); n == cleanRows; {
			if n, err = step.run(); err != nil {
				return done, err
			}
			*step.count += n
		}
	}
	err = s.write.WithContext(ctx).Exec("DELETE FROM departures WHERE changed < "+s.dialect.clock+" - ?", departuresKept.Microseconds()).Error
	if err == nil {
		err = s.deleteProcesses(ctx)
	}
	if err != nil {
		return done, err
	}
	done.Reservations, err = s.dropStaleReservations(ctx, now)
	return done, err
}

// Expire marks contracts that expired before the given time, and subtracts them
// from the counts of their tokens. It returns how many contracts it examined: fewer
// than limit means that no such contract is left. Several sweepers may run Expire
// at the same time.
//
// before must be some time in the past, because a proof that was received in time
// may still wait for its verdict. If Expire comes before that verdict, the verdict
// makes the contract live again.
func (s *Store) Expire(ctx context.Context, before time.Time, limit int) (n int64, err error) {
	defer wrap(&err, "expire contracts")
	due, err := s.contractsUntil(ctx, true, before, limit)
	if err != nil {
		return 0, err
	}
	return inBatches(ctx, s, due, func(t *tx, batch []contractRow) error { return s.expire(t, batch, before) })
}

// contractsUntil finds contracts that expired at or before a time. It takes the
// oldest first, and returns them sorted by token.
func (s *Store) contractsUntil(ctx context.Context, live bool, until time.Time, limit int) ([]contractRow, error) {
	found, err := selectRows(s.reader(ctx), contractTable.only("id", "token_id", "file_id"),
		"FROM contracts WHERE live = ? AND expiry <= ? ORDER BY expiry LIMIT ?", live, micros(until), limit)
	slices.SortStableFunc(found, func(a, b contractRow) int { return cmp.Compare(a.TokenID, b.TokenID) })
	return found, err
}

// inBatches calls do with one batch of rows at a time. Each batch has its own
// transaction. inBatches returns how many rows were done.
func inBatches[R any](ctx context.Context, s *Store, rows []R, do func(*tx, []R) error) (n int64, err error) {
	for batch := range slices.Chunk(rows, batchRows) {
		if err := s.transaction(ctx, func(t *tx) error { return do(t, batch) }); err != nil {
			return n, err
		}
		n += int64(len(batch))
	}
	return n, nil
}

func (s *Store) expire(t *tx, due []contractRow, before time.Time) error {
	tokens, err := s.lockTokens(t, idsOf(due, func(c contractRow) int64 { return c.TokenID }))
	if err != nil {
		return err
	}
	// Leave out contracts that had a proof accepted, or were swept, after the read.
	ids := distinct(idsOf(due, func(c contractRow) int64 { return c.ID }))
	rows, err := selectRows(t, endingColumns, "FROM contracts"+s.dialect.byID+
		" WHERE id IN "+idList(ids)+" AND live = 1 AND expiry <= ? ORDER BY id"+s.dialect.forUpdate, micros(before))
	if err != nil || len(rows) == 0 {
		return err
	}
	voided := 0
	for _, row := range rows {
		if row.void() {
			voided++
		}
	}
	fault, err := countVoid(t, voided, before)
	if err != nil {
		return err
	}
	slices.SortStableFunc(rows, func(a, b contractRow) int { return cmp.Compare(a.Expiry, b.Expiry) }) // the order of events
	touched := map[int64]*lockedToken{}
	for _, row := range rows {
		token := tokens[row.TokenID]
		if token == nil { // after a restore; the contract ends like the others, and Repair deletes it
			continue
		}
		if row.void() {
			token.endContract(&row, fault)
		} else {
			token.endContract(&row, 0)
		}
		touched[token.ID] = token
	}
	if err := loseCopies(t, rows, before); err != nil {
		return err
	}
	expired := idsOf(rows, func(c contractRow) int64 { return c.ID })
	if err := t.exec("UPDATE contracts SET live = 0 WHERE id IN " + idList(expired)); err != nil {
		return err
	}
	return s.saveTokens(t, slices.Collect(maps.Values(touched)))
}

func idsOf[R any](rows []R, id func(R) int64) []int64 {
	ids := make([]int64, len(rows))
	for i, row := range rows {
		ids[i] = id(row)
	}
	return ids
}

// deleteTags deletes tags, of up to limit files, that are no longer needed. A tag
// is not needed if the farmer has sent a proof, and so must have the tag, or if the
// contract has expired. A renewed contract is unproven until the first proof with its new tag.
func (s *Store) deleteTags(ctx context.Context, limit int) (n int64, err error) {
	// There are far fewer tags than contracts: only the tags of the inventory and
	// of hand-outs since the last sweep.
	files, err := s.reader(ctx).numbers("SELECT DISTINCT t.file_id FROM tags t JOIN contracts c ON c.file_id = t.file_id"+
		" WHERE t.part = 0 AND (c.unproven = 0 AND (c.sequence > 0 OR c.answered = 1) OR c.live = 0) LIMIT ?", limit)
	if err != nil {
		return 0, err
	}
	return inBatches(ctx, s, distinct(files), func(t *tx, batch []int64) error {
		return t.exec("DELETE FROM tags WHERE file_id IN " + idList(batch))
	})
}

// deleteExpired deletes up to limit contracts, with their files, that are marked as
// expired and expired before olderThan. Until the deletion, a farmer's proof gets
// the outcome "contract expired".
func (s *Store) deleteExpired(ctx context.Context, olderThan time.Time, limit int) (n int64, err error) {
	expired, err := s.contractsUntil(ctx, false, olderThan, limit)
	if err != nil {
		return 0, err
	}
	return inBatches(ctx, s, expired, func(t *tx, batch []contractRow) error {
		if _, err := s.lockTokens(t, idsOf(batch, func(c contractRow) int64 { return c.TokenID })); err != nil {
			return err
		}
		ids := distinct(idsOf(batch, func(c contractRow) int64 { return c.ID }))
		if err := t.exec("DELETE FROM contracts WHERE id IN " + idList(ids) + " AND live = 0"); err != nil {
			return err
		}
		return deleteFiles(t, idsOf(batch, func(c contractRow) int64 { return c.FileID }))
	})
}

// deleteOrphanFiles deletes the files that deleted tokens have left. It examines up
// to limit files and returns how many it examined.
func (s *Store) deleteOrphanFiles(ctx context.Context, limit int) (n int64, err error) {
	type orphan struct{ ID, FileID int64 }
	var orphans []orphan
	err = s.read.WithContext(ctx).Table("orphans").Order("id").Limit(limit).Find(&orphans).Error
	if err != nil {
		return 0, err
	}
	return inBatches(ctx, s, orphans, func(t *tx, batch []orphan) error {
		if err := deleteFiles(t, idsOf(batch, func(o orphan) int64 { return o.FileID })); err != nil {
			return err
		}
		return t.exec("DELETE FROM orphans WHERE id IN " + idList(idsOf(batch, func(o orphan) int64 { return o.ID })))
	})
}

// deleteFiles deletes the files, with their tags, that no chunk or contract refers
// to, and the contents without a file. It keeps the others. No transaction adds a reference to an existing file, so
// deleteFiles needs no lock.
func deleteFiles(t *tx, ids []int64) error {
	unused := distinct(slices.Clone(ids))
	list := idList(unused)
	used, err := t.numbers("SELECT file_id FROM chunks WHERE file_id IN " + list +
		" UNION SELECT file_id FROM contracts WHERE file_id IN " + list)
	if err != nil {
		return err
	}
	unused = slices.DeleteFunc(unused, func(id int64) bool { return slices.Contains(used, id) })
	if len(unused) == 0 {
		return nil
	}
	if err := t.exec("DELETE FROM tags WHERE file_id IN " + idList(unused)); err != nil {
		return err
	}
	contents, err := t.numbers("SELECT DISTINCT content_id FROM files WHERE content_id > 0 AND id IN " + idList(unused))
	if err != nil {
		return err
	}
	if err := t.exec("DELETE FROM files WHERE id IN " + idList(unused)); err != nil || len(contents) == 0 {
		return err
	}
	return t.exec("DELETE FROM contents WHERE id IN " + idList(contents) + " AND NOT EXISTS (SELECT 1 FROM files f WHERE f.content_id = contents.id)")
}

// dropStaleReservations deletes reservations whose lease has ended.
func (s *Store) dropStaleReservations(ctx context.Context, now time.Time) (n int64, err error) {
	res := s.write.WithContext(ctx).Where("lease_until <= ?", micros(now)).Delete(&reservationRow{})
	return res.RowsAffected, res.Error
}

// PruneIPs deletes the locks of networks that have no token. If a network gets a
// token at the same time, nothing is lost: the next transaction that needs the lock
// makes it again.
func (s *Store) PruneIPs(ctx context.Context) (n int64, err error) {
	defer wrap(&err, "prune IP addresses")
	for after := ""; ; {
		names, err := appendRows(nil, s.reader(ctx), addressOf[string], "SELECT ip FROM ips WHERE ip > ? ORDER BY ip LIMIT ?", after, cleanRows)
		if err != nil || len(names) == 0 {
			return n, err
		}
		after = names[len(names)-1]
		unused, err := s.withoutTokens(ctx, names)
		if err != nil {
			return n, err
		}
		pruned, err := inBatches(ctx, s, unused, func(t *tx, batch []any) error {
			return t.exec("DELETE FROM ips WHERE ip IN ("+placeholders(len(batch))+")", batch...)
		})
		n += pruned
		if err != nil {
			return n, err
		}
	}
}

// withoutTokens returns the names of the networks that have no token. names must be
// sorted.
func (s *Store) withoutTokens(ctx context.Context, names []string) (unused []any, err error) {
	last := networkNamed(names[len(names)-1]).last
	used, err := appendRows(nil, s.reader(ctx), addressOf[string],
		"SELECT DISTINCT ip FROM tokens WHERE ip BETWEEN ? AND ? ORDER BY ip", networkNamed(names[0]).first, last)
	for _, name := range names {
		network := networkNamed(name)
		if at, found := slices.BinarySearch(used, network.first); !found && (at == len(used) || used[at] > network.last) {
			unused = append(unused, name)
		}
	}
	return unused, err
}

// DeleteUnusedTokens deletes the tokens that were created before the given time and
// never had a contract. It returns how many it deleted.
func (s *Store) DeleteUnusedTokens(ctx context.Context, before, now time.Time) (deleted int64, err error) {
	defer wrap(&err, "delete unused tokens")
	for {
		ids, err := s.reader(ctx).numbers("SELECT id FROM tokens WHERE up_since = 0 AND created < ? ORDER BY created LIMIT ?",
			micros(before), cleanRows)
		if err != nil {
			return deleted, err
		}
		_, err = inBatches(ctx, s, ids, func(t *tx, batch []int64) error {
			tokens, err := s.lockTokens(t, slices.Clone(batch))
			if err != nil {
				return err
			}
			// Leave out tokens that got a contract after the read.
			maps.DeleteFunc(tokens, func(_ int64, token *lockedToken) bool { return token.UpSince != 0 })
			if len(tokens) == 0 {
				return nil
			}
			left, err := s.deleteTokens(t, slices.Collect(maps.Keys(tokens)), now)
			if err != nil {
				return err
			}
			deleted += int64(len(tokens))
			return s.record(t, left)
		})
		if err != nil || len(ids) < cleanRows {
			return deleted, err
		}
	}
}
