package store

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/driveshare/downstream-node/internal/node"
)

// HandOutLimits bound one hand-out.
type HandOutLimits struct {
	Contracts       int   // contracts at most
	BytesPerAddress int64 // bytes that the address may hold, over all its tokens; 0 means no limit
	TokensPerIP     int   // tokens of one IP address that are served; 0 means no limit
}

// HandedOut is a contract just made, with what the farmer needs beside its
// tag, which OpenTag streams.
type HandedOut struct {
	ContractID int64
	FileID     int64
	FileHash   node.FileHash
	Seed       string
	Size       int64
	Challenge  []byte
	Due        time.Time
}

// HandOut makes contracts for the token out of waiting chunks, the largest
// that fit first, of maxBytes together at most. None fitting is no error.
//
// It fails with ErrTooManyTokens where the token's IP address had its limit of
// tokens before this one: a farmer behind a shared address does not lose out
// to tokens that move there after it.
func (s *Store) HandOut(ctx context.Context, token Token, maxBytes int64, limits HandOutLimits, interval time.Duration, now time.Time) (out []HandedOut, err error) {
	defer wrap(&err, "hand out to farmer %s", token.FarmerID)
	now = cut(now)
	err = s.transaction(ctx, func(tx *gorm.DB) error {
		t, err := s.lockAddressOf(tx, token)
		if err != nil {
			return err
		}
		if err := checkIP(tx, t, limits.TokensPerIP); err != nil {
			return err
		}
		room, err := roomFor(tx, t.AddressID, maxBytes, limits.BytesPerAddress, now)
		if err != nil {
			return err
		}
		chunks, err := s.takeChunks(tx, t.KeyID, room, limits.Contracts)
		if err != nil || len(chunks) == 0 {
			out = nil
			return err
		}
		out, err = s.makeContracts(tx, t, chunks, interval, now)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// lockAddressOf locks the token's address, which all hand-outs that count
// against its limit do, and then the token.
func (s *Store) lockAddressOf(tx *gorm.DB, token Token) (*lockedToken, error) {
	var id int64
	err := tx.Raw("SELECT id FROM addresses WHERE id = ?"+s.dialect.forUpdate, token.AddressID).Scan(&id).Error
	if err != nil {
		return nil, err
	}
	if id == 0 {
		return nil, ErrNotFound
	}
	return s.lockToken(tx, token.ID)
}

func checkIP(tx *gorm.DB, t *lockedToken, limit int) error {
	if limit <= 0 {
		return nil
	}
	var rank int64 // of the token among those of its IP address, by age
	if err := tx.Model(&tokenRow{}).Where("ip = ? AND id <= ?", t.IP, t.ID).Count(&rank).Error; err != nil {
		return err
	}
	if rank > int64(limit) {
		return ErrTooManyTokens
	}
	return nil
}

// roomFor is how many bytes may be handed out: maxBytes, or what the address
// has left of its limit.
func roomFor(tx *gorm.DB, addressID, maxBytes, limit int64, now time.Time) (int64, error) {
	if limit <= 0 {
		return maxBytes, nil
	}
	var held int64
	err := tx.Raw("SELECT COALESCE(SUM(size), 0) FROM tokens WHERE address_id = ?", addressID).Scan(&held).Error
	if err != nil || held+maxBytes <= limit {
		return maxBytes, err
	}
	// The tokens' counts hold contracts that have expired since the sweeper
	// was here. Only now does that matter enough to look at each.
	err = tx.Raw("SELECT COALESCE(SUM(c.size), 0) FROM tokens t JOIN contracts c ON c.token_id = t.id"+
		" WHERE t.address_id = ? AND c.live = 1 AND c.expiry > ?", addressID, micros(now)).Scan(&held).Error
	return min(maxBytes, limit-held), err
}

// takenChunk is one taken from the inventory.
type takenChunk struct {
	ID, FileID, KeyID, Size int64
	Challenge, State        []byte
}

// takeChunks removes chunks from the inventory: at most limit, of at most room
// bytes together, the largest first. It takes no chunk that it does not use,
// and waits for nobody who takes chunks at the same time.
func (s *Store) takeChunks(tx *gorm.DB, keyID, room int64, limit int) ([]takenChunk, error) {
	var taken []takenChunk
	for room > 0 && len(taken) < limit {
		// The largest size that fits says how many chunks do, whatever their
		// sizes: it is looked at without a lock, for a chunk that goes to
		// another in between only makes the batch smaller.
		var largest int64
		err := tx.Raw("SELECT COALESCE(MAX(size), 0) FROM chunks WHERE key_id = ? AND size <= ?", keyID, room).
			Scan(&largest).Error
		if err != nil || largest == 0 {
			return taken, err
		}
		n := int(min(int64(limit-len(taken)), room/largest))
		var batch []takenChunk
		err = tx.Raw("SELECT id, file_id, key_id, size, challenge, state FROM chunks"+s.dialect.bySize+
			" WHERE key_id = ? AND size <= ? ORDER BY size DESC LIMIT ?"+s.dialect.skipLocked, keyID, largest, n).
			Scan(&batch).Error
		if err != nil || len(batch) == 0 {
			return taken, err
		}
		ids := make([]int64, len(batch))
		for i, c := range batch {
			ids[i] = c.ID
			room -= c.Size
		}
		if err := tx.Exec("DELETE FROM chunks WHERE id IN ?", ids).Error; err != nil {
			return nil, err
		}
		taken = append(taken, batch...)
		if len(batch) < n {
			break // others hold the rest
		}
	}
	return taken, nil
}

// makeContracts gives the chunks to the token.
func (s *Store) makeContracts(tx *gorm.DB, t *lockedToken, chunks []takenChunk, interval time.Duration, now time.Time) ([]HandedOut, error) {
	due := cut(now.Add(interval))
	files, err := filesOf(tx, chunks)
	if err != nil {
		return nil, err
	}
	rows := make([]contractRow, len(chunks))
	for i, c := range chunks {
		rows[i] = contractRow{
			TokenID:   t.ID,
			FileID:    c.FileID,
			FileHash:  files[c.FileID].Hash,
			KeyID:     c.KeyID,
			Size:      c.Size,
			Period:    interval.Microseconds(),
			Challenge: c.Challenge,
			State:     c.State,
			Due:       micros(due),
			Accepted:  make([]byte, len(node.Digest{})),
			Wrong:     []byte{},
			Expiry:    micros(due),
			Live:      true,
		}
	}
	ids, err := insertContracts(tx, t.ID, rows)
	if err != nil {
		return nil, err
	}
	var size int64
	out := make([]HandedOut, len(rows))
	for i, r := range rows {
		size += r.Size
		out[i] = HandedOut{
			ContractID: ids[r.FileID],
			FileID:     r.FileID,
			FileHash:   node.FileHash(r.FileHash),
			Seed:       files[r.FileID].Seed,
			Size:       r.Size,
			Challenge:  r.Challenge,
			Due:        due,
		}
	}
	t.take(now, due, int64(len(rows)), size)
	return out, s.saveTokens(tx, []*lockedToken{t})
}

func filesOf(tx *gorm.DB, chunks []takenChunk) (map[int64]fileRow, error) {
	ids := make([]int64, len(chunks))
	for i, c := range chunks {
		ids[i] = c.FileID
	}
	var rows []fileRow
	if err := tx.Where("id IN ?", ids).Find(&rows).Error; err != nil {
		return nil, err
	}
	files := make(map[int64]fileRow, len(rows))
	for _, row := range rows {
		files[row.ID] = row
	}
	return files, nil
}

// insertContracts inserts the rows and maps file ids to contract ids. They are
// read back: what one insert of many rows tells is the first id, and the
// others follow from it on some servers' settings only.
func insertContracts(tx *gorm.DB, tokenID int64, rows []contractRow) (map[int64]int64, error) {
	if err := tx.CreateInBatches(rows, batchRows).Error; err != nil {
		return nil, err
	}
	files := make([]int64, len(rows))
	for i, row := range rows {
		files[i] = row.FileID
	}
	var found []contractRow
	err := tx.Select("id, file_id").Where("token_id = ? AND file_id IN ?", tokenID, files).Find(&found).Error
	if err != nil {
		return nil, err
	}
	ids := make(map[int64]int64, len(found))
	for _, row := range found {
		ids[row.FileID] = row.ID
	}
	return ids, nil
}
