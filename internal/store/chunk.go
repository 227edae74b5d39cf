package store

import (
	"context"
	"io"
	"time"

	"gorm.io/gorm"

	"github.com/driveshare/downstream-node/internal/node"
)

// NewChunk is an encoded file for the inventory, with its first challenge
// prepared so that a hand-out computes nothing.
type NewChunk struct {
	Seed      string
	Hash      node.FileHash
	Size      int64
	KeyID     int64
	Challenge []byte
	State     []byte // after Challenge was issued
	Tag       io.Reader
}

// Chunk is one that waits in the inventory.
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

// Stock puts a chunk into the inventory, in place of its reservation; 0 is
// none. It fails with ErrReservationGone where that has run out, with
// ErrFileExists where the file is there already, and leaves nothing behind
// where it fails. A Tag that is an io.Seeker is read again where the
// transaction is repeated; with another, it is tried once.
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
	return s.transaction(ctx, func(tx *gorm.DB) error {
		if again {
			if !seekable {
				return unavailable{errTagRead}
			}
			if _, err := seeker.Seek(start, io.SeekStart); err != nil {
				return err
			}
		}
		again = true
		if err := s.useReservation(tx, reservationID, now); err != nil {
			return err
		}
		return insertChunk(tx, c, now)
	})
}

// useReservation deletes the reservation, which must still hold.
func (s *Store) useReservation(tx *gorm.DB, id int64, now time.Time) error {
	if id == 0 {
		return nil
	}
	res := tx.Exec("DELETE FROM reservations WHERE id = ? AND lease_until > ?", id, micros(now))
	if res.Error == nil && res.RowsAffected == 0 {
		return ErrReservationGone
	}
	return res.Error
}

func insertChunk(tx *gorm.DB, c NewChunk, now time.Time) error {
	file := fileRow{Hash: c.Hash[:], Seed: c.Seed, Size: c.Size, KeyID: c.KeyID, Redundancy: 1}
	if err := tx.Create(&file).Error; isDuplicate(err) {
		return ErrFileExists
	} else if err != nil {
		return err
	}
	size, err := insertTag(tx, file.ID, c.Tag)
	if err != nil {
		return err
	}
	if err := tx.Exec("UPDATE files SET tag_size = ? WHERE id = ?", size, file.ID).Error; err != nil {
		return err
	}
	return tx.Create(&chunkRow{
		FileID:    file.ID,
		KeyID:     c.KeyID,
		Size:      c.Size,
		Challenge: c.Challenge,
		State:     c.State,
		Created:   micros(now),
	}).Error
}

// ListChunks calls yield for every chunk that waits, in id order, until it
// returns an error.
func (s *Store) ListChunks(ctx context.Context, yield func(Chunk) error) (err error) {
	defer wrap(&err, "list chunks")
	for after := int64(0); ; {
		var page []struct {
			ID, FileID, Size, KeyID, TagSize, Created int64
			Hash                                      []byte
			Seed                                      string
		}
		err := s.read.WithContext(ctx).Raw("SELECT c.id, c.file_id, c.size, c.key_id, c.created, f.tag_size, f.hash, f.seed"+
			" FROM chunks c JOIN files f ON f.id = c.file_id WHERE c.id > ? ORDER BY c.id LIMIT ?", after, batchRows).
			Scan(&page).Error
		if err != nil {
			return err
		}
		for _, row := range page {
			err := yield(Chunk{
				ID:       row.ID,
				FileID:   row.FileID,
				FileHash: node.FileHash(row.Hash),
				Seed:     row.Seed,
				Size:     row.Size,
				KeyID:    row.KeyID,
				TagSize:  row.TagSize,
				Created:  moment(row.Created),
			})
			if err != nil {
				return err
			}
			after = row.ID
		}
		if len(page) < batchRows {
			return nil
		}
	}
}

// ClearChunks empties the inventory, and returns how many chunks that were.
func (s *Store) ClearChunks(ctx context.Context) (cleared int64, err error) {
	defer wrap(&err, "clear chunks")
	for {
		n := 0
		err := s.transaction(ctx, func(tx *gorm.DB) error {
			var rows []takenChunk
			err := tx.Raw("SELECT id, file_id FROM chunks"+s.dialect.byID+" ORDER BY id LIMIT ?"+s.dialect.skipLocked, batchRows).
				Scan(&rows).Error
			n = len(rows)
			if err != nil || n == 0 {
				return err
			}
			ids, files := make([]int64, n), make([]int64, n)
			for i, row := range rows {
				ids[i], files[i] = row.ID, row.FileID
			}
			if err := tx.Exec("DELETE FROM chunks WHERE id IN ?", ids).Error; err != nil {
				return err
			}
			_, err = deleteFiles(tx, files)
			return err
		})
		if err != nil || n == 0 {
			return cleared, err
		}
		cleared += int64(n)
	}
}
