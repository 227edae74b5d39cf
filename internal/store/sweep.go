package store

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"
)

// Expire marks contracts over that expired before, up to limit of them, and
// takes them off their tokens' counts. It returns how many it looked at: less
// than limit means that none is left. Sweepers at work at the same time do no
// harm.
//
// before lies some way in the past: an answer received in time may have its
// verdict still to come. One that comes even later makes its contract live
// again.
func (s *Store) Expire(ctx context.Context, before time.Time, limit int) (n int64, err error) {
	defer wrap(&err, "expire contracts")
	var due []contractRow
	err = s.read.WithContext(ctx).Select("id, token_id").Where("live = 1 AND expiry <= ?", micros(before)).
		Order("expiry").Limit(limit).Find(&due).Error
	if err != nil {
		return 0, err
	}
	slices.SortFunc(due, func(a, b contractRow) int { return cmp.Compare(a.TokenID, b.TokenID) })
	for batch := range slices.Chunk(due, batchRows) {
		err := s.transaction(ctx, func(tx *gorm.DB) error { return s.expire(tx, batch, before) })
		if err != nil {
			return n, err
		}
		n += int64(len(batch))
	}
	return n, nil
}

func (s *Store) expire(tx *gorm.DB, due []contractRow, before time.Time) error {
	tokenIDs, ids := make([]int64, len(due)), make([]int64, len(due))
	for i, row := range due {
		tokenIDs[i], ids[i] = row.TokenID, row.ID
	}
	tokens, err := s.lockTokens(tx, tokenIDs)
	if err != nil {
		return err
	}
	rows, err := s.lockDue(tx, ids, before)
	if err != nil {
		return err
	}
	touched := map[int64]*lockedToken{}
	var over []int64
	for _, row := range rows {
		t := tokens[row.TokenID]
		t.lose(moment(row.Expiry), row.Size)
		touched[t.ID] = t
		over = append(over, row.ID)
	}
	if len(over) == 0 {
		return nil
	}
	if err := tx.Exec("UPDATE contracts SET live = 0 WHERE id IN ?", over).Error; err != nil {
		return err
	}
	return s.saveTokens(tx, slices.Collect(maps.Values(touched)))
}

// lockDue locks those of the contracts, in id order, that are over still:
// others were answered, or swept, since somebody looked. Their tokens are
// locked already, and so nobody else changes them meanwhile.
func (s *Store) lockDue(tx *gorm.DB, ids []int64, before time.Time) ([]contractRow, error) {
	var rows []contractRow
	err := tx.Raw("SELECT id, token_id, size, expiry FROM contracts"+s.dialect.byID+
		" WHERE id IN ? AND live = 1 AND expiry <= ? ORDER BY id"+s.dialect.forUpdate, distinct(ids), micros(before)).
		Scan(&rows).Error
	return rows, err
}

// DeleteTags deletes the tags, of up to limit files, whose farmer has answered
// once and so has them, or whose contract is over.
func (s *Store) DeleteTags(ctx context.Context, limit int) (n int64, err error) {
	defer wrap(&err, "delete tags")
	var files []int64
	// Tags are few beside contracts: those of the inventory and of what was
	// handed out since the last sweep.
	err = s.read.WithContext(ctx).Raw("SELECT DISTINCT t.file_id FROM tags t JOIN contracts c ON c.file_id = t.file_id"+
		" WHERE t.part = 0 AND (c.sequence > 0 OR c.answered = 1 OR c.live = 0) LIMIT ?", limit).Scan(&files).Error
	if err != nil {
		return 0, err
	}
	for batch := range slices.Chunk(distinct(files), batchRows) {
		err := s.transaction(ctx, func(tx *gorm.DB) error {
			return tx.Exec("DELETE FROM tags WHERE file_id IN ?", batch).Error
		})
		if err != nil {
			return n, err
		}
		n += int64(len(batch))
	}
	return n, nil
}

// DeleteExpired deletes up to limit contracts that are marked over and expired
// before olderThan, with their files. Until then farmers are told that they
// expired.
func (s *Store) DeleteExpired(ctx context.Context, olderThan time.Time, limit int) (n int64, err error) {
	defer wrap(&err, "delete expired contracts")
	var over []contractRow
	err = s.read.WithContext(ctx).Select("id, token_id, file_id").Where("live = 0 AND expiry <= ?", micros(olderThan)).
		Order("expiry").Limit(limit).Find(&over).Error
	if err != nil {
		return 0, err
	}
	slices.SortFunc(over, func(a, b contractRow) int { return cmp.Compare(a.TokenID, b.TokenID) })
	for batch := range slices.Chunk(over, batchRows) {
		tokens, ids, files := make([]int64, len(batch)), make([]int64, len(batch)), make([]int64, len(batch))
		for i, row := range batch {
			tokens[i], ids[i], files[i] = row.TokenID, row.ID, row.FileID
		}
		err := s.transaction(ctx, func(tx *gorm.DB) error {
			if _, err := s.lockTokens(tx, tokens); err != nil {
				return err
			}
			res := tx.Exec("DELETE FROM contracts WHERE id IN ? AND live = 0", distinct(ids))
			if res.Error != nil {
				return res.Error
			}
			_, err := deleteFiles(tx, files)
			return err
		})
		if err != nil {
			return n, err
		}
		n += int64(len(batch))
	}
	return n, nil
}

// DeleteOrphanFiles deletes files that deleted tokens left behind: it looks at
// up to limit of them, and says at how many it did.
func (s *Store) DeleteOrphanFiles(ctx context.Context, limit int) (n int64, err error) {
	defer wrap(&err, "delete orphan files")
	var orphans []struct{ ID, FileID int64 }
	err = s.read.WithContext(ctx).Raw("SELECT id, file_id FROM orphans ORDER BY id LIMIT ?", limit).Scan(&orphans).Error
	if err != nil {
		return 0, err
	}
	for batch := range slices.Chunk(orphans, batchRows) {
		ids, files := make([]int64, len(batch)), make([]int64, len(batch))
		for i, o := range batch {
			ids[i], files[i] = o.ID, o.FileID
		}
		err := s.transaction(ctx, func(tx *gorm.DB) error {
			if _, err := deleteFiles(tx, files); err != nil {
				return err
			}
			return tx.Exec("DELETE FROM orphans WHERE id IN ?", ids).Error
		})
		if err != nil {
			return n, err
		}
		n += int64(len(batch))
	}
	return n, nil
}

// deleteFiles deletes those of the files, with their tags, that nothing refers
// to. A file that nothing refers to stays so: only its making refers to it.
func deleteFiles(tx *gorm.DB, ids []int64) (int64, error) {
	var used []int64
	err := tx.Raw("SELECT file_id FROM chunks WHERE file_id IN ? UNION SELECT file_id FROM contracts WHERE file_id IN ?", ids, ids).
		Scan(&used).Error
	if err != nil {
		return 0, err
	}
	unused := slices.DeleteFunc(distinct(slices.Clone(ids)), func(id int64) bool { return slices.Contains(used, id) })
	if len(unused) == 0 {
		return 0, nil
	}
	if err := tx.Exec("DELETE FROM tags WHERE file_id IN ?", unused).Error; err != nil {
		return 0, err
	}
	res := tx.Exec("DELETE FROM files WHERE id IN ?", unused)
	return res.RowsAffected, res.Error
}

// DropStaleReservations deletes reservations whose lease has run out.
func (s *Store) DropStaleReservations(ctx context.Context, now time.Time) (n int64, err error) {
	defer wrap(&err, "drop stale reservations")
	res := s.write.WithContext(ctx).Where("lease_until <= ?", micros(now)).Delete(&reservationRow{})
	return res.RowsAffected, res.Error
}

// PruneIPs deletes the rows of IP addresses that hold no token.
func (s *Store) PruneIPs(ctx context.Context) (n int64, err error) {
	defer wrap(&err, "prune IP addresses")
	err = s.transaction(ctx, func(tx *gorm.DB) error {
		res := tx.Exec("DELETE FROM ips WHERE NOT EXISTS (SELECT 1 FROM tokens WHERE tokens.ip = ips.ip)")
		n = res.RowsAffected
		return res.Error
	})
	return n, err
}
