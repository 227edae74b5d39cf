package store

import (
	"context"
	"database/sql"
	"io"
	"slices"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// Reservation is the right to add one chunk to the inventory. It ends with its
// lease.
type Reservation struct {
	ID    int64
	KeyID int64
	Size  int64 // size of the reserved chunk in bytes
	Until time.Time

	// ContentID and Seed are those of the file that the chunk is a copy of. They are 0
	// and "" for a new file.
	ContentID int64
	Seed      string
}

// inventoryCounts counts the heartbeat key's chunks of each size that wait or are
// being made. node.Inventory.Missing needs these counts. One statement reads both,
// so that a reservation that becomes a chunk at the same time counts once.
func inventoryCounts(t *tx, keyID int64, now time.Time) (map[int64]int64, error) {
	counts := map[int64]int64{}
	var size, n int64
	err := t.query(func(rows *sql.Rows) error {
		err := rows.Scan(&size, &n)
		counts[size] += n
		return err
	}, "SELECT size, COUNT(*) FROM chunks WHERE key_id = ? GROUP BY size"+
		" UNION ALL SELECT size, COUNT(*) FROM reservations WHERE key_id = ? AND lease_until > ? GROUP BY size",
		keyID, keyID, micros(now))
	return counts, err
}

// maxCounted limits what Waiting counts, because each counted chunk takes time.
const maxCounted = 100_000

// Waiting returns how many chunks of the heartbeat key wait, or maxCounted if there
// are more.
func (s *Store) Waiting(ctx context.Context, keyID int64) (n int64, err error) {
	defer wrap(&err, "count the waiting chunks")
	return s.reader(ctx).number("SELECT COUNT(*) FROM (SELECT 1 FROM chunks"+s.dialect.bySize+" WHERE key_id = ? LIMIT ?) c", keyID, maxCounted)
}

// WaitingSize returns how many chunks of all heartbeat keys wait, and their bytes.
func (s *Store) WaitingSize(ctx context.Context) (chunks, bytes int64, err error) {
	defer wrap(&err, "measure the waiting chunks")
	err = s.reader(ctx).query(func(rows *sql.Rows) error {
		return rows.Scan(&chunks, &bytes)
	}, "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM chunks"+s.dialect.bySize)
	return chunks, bytes, err
}

// Reserve reserves the chunk that the inventory needs most: another copy of a file that
// farmers hold, or a new file. ok is false if the inventory is full. However many workers call Reserve, the inventory never exceeds
// its total size.
func (s *Store) Reserve(ctx context.Context, keyID int64, inventory node.Inventory, lease time.Duration, now time.Time) (r Reservation, ok bool, err error) {
	defer wrap(&err, "reserve a chunk to make")
	err = s.transaction(ctx, func(t *tx) error {
		if err := s.lock(t, inventoryLock); err != nil {
			return err
		}
		counts, err := inventoryCounts(t, keyID, now)
		if err != nil {
			return err
		}
		r, ok = Reservation{KeyID: keyID, Until: cut(now.Add(lease))}, false
		if inventory.Redundancy > 1 {
			room := inventory.TotalSize - node.Bytes(counts)
			var missing contentRow
			if missing, ok, err = missingCopy(t, keyID, room, inventory, now); err != nil {
				return err
			}
			r.ContentID, r.Seed, r.Size = missing.ID, missing.Seed, missing.Size
		}
		if !ok {
			var may func(size int64) bool
			if inventory.Redundancy > 1 {
				if may, err = mayStart(t, keyID, inventory, now); err != nil {
					return err
				}
			}
			if r.Size, ok, err = inventory.Missing(counts, may); err != nil || !ok {
				return err
			}
		}
		r.ID, err = t.insertID("INSERT INTO reservations (key_id, size, lease_until, content_id) VALUES (?, ?, ?, ?)",
			r.KeyID, r.Size, micros(r.Until), r.ContentID)
		return err
	})
	if err != nil || !ok {
		return Reservation{}, false, err
	}
	return r, true, nil
}

// ExtendLease sets the end of the reservation's lease to now plus lease. It returns
// ErrReservationGone if the reservation has ended, because another reservation may
// have replaced it.
func (s *Store) ExtendLease(ctx context.Context, reservationID int64, lease time.Duration, now time.Time) (err error) {
	defer wrap(&err, "extend reservation %d", reservationID)
	res := s.write.WithContext(ctx).Model(&reservationRow{}).Where("id = ? AND lease_until > ?", reservationID, micros(now)).
		Update("lease_until", micros(now.Add(lease)))
	if res.Error == nil && res.RowsAffected == 0 {
		return ErrReservationGone
	}
	return res.Error
}

// ReleaseReservation deletes a reservation that is no longer needed.
func (s *Store) ReleaseReservation(ctx context.Context, reservationID int64) (err error) {
	defer wrap(&err, "release reservation %d", reservationID)
	return s.write.WithContext(ctx).Delete(&reservationRow{}, reservationID).Error
}

// NewChunk is an encoded file for the inventory. Its first challenge has already
// been issued, so that a hand-out computes nothing.
type NewChunk struct {
	Seed      string
	Hash      node.FileHash
	Size      int64
	KeyID     int64
	Challenge []byte
	State     []byte // the state after Challenge was issued
	Tag       io.Reader

	Redundancy int64 // how many farmers should hold the file; 0 means 1
	ContentID  int64 // the Reservation's
}

// Chunk is a chunk that waits in the inventory.
type Chunk struct {
	ID       int64
	FileID   int64
	FileHash node.FileHash
	Seed     string
	Size     int64
	KeyID    int64
	TagSize  int64
	Created  time.Time
}

// Stock adds a chunk to the inventory and deletes the chunk's reservation; id 0
// means that there is no reservation. It returns ErrReservationGone if the
// reservation has ended, and ErrFileExists if a new file with copies is in the store already.
// If the transaction must be repeated, Stock reads a Tag that is an io.Seeker
// again. With any other Tag, Stock then fails.
func (s *Store) Stock(ctx context.Context, reservationID int64, c NewChunk, now time.Time) (err error) {
	defer wrap(&err, "stock a chunk of %d bytes", c.Size)
	var start int64
	seeker, seekable := c.Tag.(io.Seeker)
	if seekable {
		if start, err = seeker.Seek(0, io.SeekCurrent); err != nil {
			return err
		}
	}
	again := false
	return s.transaction(ctx, func(t *tx) error {
		if again {
			if !seekable {
				return unavailable(errTagRead)
			}
			if _, err := seeker.Seek(start, io.SeekStart); err != nil {
				return err
			}
		}
		again = true
		if reservationID != 0 {
			used, err := t.execCount("DELETE FROM reservations WHERE id = ? AND lease_until > ?", reservationID, micros(now))
			if err != nil {
				return err
			}
			if used == 0 {
				return ErrReservationGone
			}
		}
		return s.insertChunk(t, c, now)
	})
}

func (s *Store) insertChunk(t *tx, c NewChunk, now time.Time) (err error) {
	var need int64
	switch {
	case c.ContentID > 0:
		need, err = s.claimCopy(t, c.ContentID, c.Redundancy, now)
	case c.Redundancy > 1:
		need = node.NeedOfNew
		if c.ContentID, err = insertContent(t, c); isDuplicate(err) {
			return ErrFileExists
		}
	}
	if err != nil {
		return err
	}
	cs := fileTable.without("id")
	file := fileRow{Hash: c.Hash[:], Seed: c.Seed, Size: c.Size, KeyID: c.KeyID, ContentID: c.ContentID}
	id, err := t.insertID("INSERT INTO files ("+cs.list("")+") VALUES ("+placeholders(len(cs))+")", cs.appendArgs(nil, &file)...)
	if err != nil {
		return err
	}
	size, err := insertTag(t, id, c.Tag)
	if err != nil {
		return err
	}
	if err := t.exec("UPDATE files SET tag_size = ? WHERE id = ?", size, id); err != nil {
		return err
	}
	return insert(t, chunkTable, []chunkRow{{
		FileID:    id,
		KeyID:     c.KeyID,
		Size:      c.Size,
		Challenge: c.Challenge,
		State:     c.State,
		Created:   micros(now),
		Need:      need,
	}}, "")
}

// ListChunks calls yield for every waiting chunk, in id order. It stops if yield
// returns an error.
func (s *Store) ListChunks(ctx context.Context, yield func(Chunk) error) (err error) {
	defer wrap(&err, "list chunks")
	for after := int64(0); ; {
		page, err := appendChunks(nil, s.reader(ctx),
			s.selectChunks(s.dialect.byID)+" WHERE c.id > ? ORDER BY c.id LIMIT ?", after, batchRows)
		if err != nil {
			return err
		}
		for _, c := range page {
			after = c.ID
			err := yield(Chunk{
				ID: c.ID, FileID: c.FileID, FileHash: node.FileHash(c.file.Hash), Seed: c.file.Seed,
				Size: c.Size, KeyID: c.KeyID, TagSize: c.file.TagSize, Created: moment(c.Created),
			})
			if err != nil {
				return err
			}
		}
		if len(page) < batchRows {
			return nil
		}
	}
}

// ClearChunks empties the inventory and returns how many chunks it deleted.
func (s *Store) ClearChunks(ctx context.Context) (cleared int64, err error) {
	defer wrap(&err, "clear chunks")
	return s.clearChunks(ctx, "")
}

// clearChunks is ClearChunks for the chunks that fulfil a condition.
func (s *Store) clearChunks(ctx context.Context, where string, args ...any) (cleared int64, err error) {
	for {
		n, err := pipelined(ctx, s, func(t *tx) (int, error) {
			rows, err := selectRows(t, chunkTable.only("id", "file_id"),
				"FROM chunks"+s.dialect.byID+" "+where+" ORDER BY id LIMIT ?"+s.dialect.skipLocked, append(slices.Clone(args), batchRows)...)
			if err != nil || len(rows) == 0 {
				return 0, err
			}
			ids := idsOf(rows, func(c chunkRow) int64 { return c.ID })
			// The database may not have locked the chunks; see takeChunks.
			if err := t.execExactly(len(ids), "DELETE FROM chunks WHERE id IN "+idList(ids)); err != nil {
				return 0, err
			}
			files := idsOf(rows, func(c chunkRow) int64 { return c.FileID })
			if err := t.exec("UPDATE contents SET waiting = 0 WHERE id IN (SELECT content_id FROM files WHERE id IN " + idList(files) + ")"); err != nil {
				return 0, err
			}
			return len(rows), deleteFiles(t, files)
		})
		if err != nil || n == 0 {
			return cleared, err
		}
		cleared += int64(n)
	}
}
