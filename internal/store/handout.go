package store

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"slices"
	"strings"
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
// tag, which Tags streams.
type HandedOut struct {
	FileID    int64
	FileHash  node.FileHash
	Seed      string
	Size      int64
	TagSize   int64
	Challenge []byte
	Due       time.Time
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
	err = s.pipelined(ctx, func(tx *gorm.DB) error {
		t, err := s.lockTokenOfAddress(tx, token)
		if err != nil {
			return err
		}
		room, err := roomFor(tx, t, maxBytes, limits, now)
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

// lockTokenOfAddress locks the token's address, which all hand-outs that count
// against its limit do, and then the token.
func (s *Store) lockTokenOfAddress(tx *gorm.DB, token Token) (*lockedToken, error) {
	var t *lockedToken
	err := query(tx, func(rows *sql.Rows) error {
		t = &lockedToken{}
		return t.scan(rows)
	}, "SELECT t."+strings.ReplaceAll(lockedColumns, ", ", ", t.")+" FROM addresses a"+s.dialect.byID+s.dialect.joinInOrder+
		"tokens t"+s.dialect.byID+" ON t.address_id = a.id WHERE a.id = ? AND t.id = ?"+s.dialect.forUpdate,
		token.AddressID, token.ID)
	if err == nil && t == nil {
		err = ErrNotFound
	}
	return t, err
}

// roomFor is how many bytes may be handed out to the token: maxBytes, or what
// its address has left of its limit.
func roomFor(tx *gorm.DB, t *lockedToken, maxBytes int64, limits HandOutLimits, now time.Time) (int64, error) {
	// The token's rank among those of its IP address, by age.
	var rank, held int64
	err := query(tx, func(rows *sql.Rows) error { return rows.Scan(&rank, &held) },
		"SELECT (SELECT COUNT(*) FROM tokens WHERE ip = ? AND id <= ?),"+
			" (SELECT COALESCE(SUM(size), 0) FROM tokens WHERE address_id = ?)", t.IP, t.ID, t.AddressID)
	if err != nil {
		return 0, err
	}
	if limits.TokensPerIP > 0 && rank > int64(limits.TokensPerIP) {
		return 0, ErrTooManyTokens
	}
	if limits.BytesPerAddress <= 0 || held+maxBytes <= limits.BytesPerAddress {
		return maxBytes, nil
	}
	// The tokens' counts hold contracts that have expired since the sweeper
	// was here. Only now does that matter enough to look at each.
	held, err = number(tx, "SELECT COALESCE(SUM(c.size), 0) FROM tokens t JOIN contracts c ON c.token_id = t.id"+
		" WHERE t.address_id = ? AND c.live = 1 AND c.expiry > ?", t.AddressID, micros(now))
	return min(maxBytes, limits.BytesPerAddress-held), err
}

// takenChunk is one taken from the inventory, and its file.
type takenChunk struct {
	ID, FileID, KeyID, Size int64
	Challenge, State        []byte

	FileHash []byte
	Seed     string
	TagSize  int64
}

// takeChunks removes chunks from the inventory: at most limit, of at most room
// bytes together, the largest first. It takes no chunk that it does not use,
// and waits for nobody who takes chunks at the same time.
func (s *Store) takeChunks(tx *gorm.DB, keyID, room int64, limit int) ([]takenChunk, error) {
	var taken []takenChunk
	for most := room; most > 0 && len(taken) < limit; {
		// A chunk that goes to another after this look only makes the
		// hand-out smaller.
		largest, err := s.largestChunks(tx, keyID, most)
		if err != nil || largest.size == 0 {
			return taken, err
		}
		n := int(min(int64(limit-len(taken)), room/largest.size))
		batch, err := s.lockChunks(tx, largest, n)
		if err != nil {
			return nil, err
		}
		if err := deleteChunks(tx, batch); err != nil {
			return nil, err
		}
		taken = append(taken, batch...)
		room -= largest.size * int64(len(batch))
		most = min(room, largest.size-1) // what is left of this size, others hold
	}
	return taken, nil
}

// equalChunks are the chunks of a key and a size; their ids lie between first
// and last.
type equalChunks struct{ keyID, size, first, last int64 }

// largestChunks finds the largest that fit. Where none does, they have no size.
func (s *Store) largestChunks(tx *gorm.DB, keyID, room int64) (c equalChunks, err error) {
	c.keyID = keyID
	err = query(tx, func(rows *sql.Rows) error { return rows.Scan(&c.size, &c.first, &c.last) },
		"SELECT c.size, (SELECT d.id FROM chunks d"+s.dialect.bySize+" WHERE d.key_id = c.key_id AND d.size = c.size"+
			" ORDER BY d.id LIMIT 1), c.id FROM chunks c"+s.dialect.bySize+
			" WHERE c.key_id = ? AND c.size <= ? ORDER BY c.size DESC, c.id DESC LIMIT 1", keyID, room)
	return c, err
}

// lockChunks finds and locks up to n of the chunks.
//
// It begins anywhere among them, and goes round. Were all hand-outs to begin
// at the same end, each would go past what the others have locked, and past
// all that was taken lately: the database clears away later what is deleted,
// and a locking read until then looks at every bit of it. It goes from new to
// old, so that beginning in a gap finds what is left from before the gap.
func (s *Store) lockChunks(tx *gorm.DB, c equalChunks, n int) (found []takenChunk, err error) {
	begin := c.first + rand.N(c.last-c.first+1)
	if found, err = s.lockChunksAmong(tx, equalChunks{c.keyID, c.size, c.first, begin}, n); err != nil || len(found) == n {
		return found, err
	}
	more, err := s.lockChunksAmong(tx, equalChunks{c.keyID, c.size, begin + 1, c.last}, n-len(found))
	return append(found, more...), err
}

// lockChunksAmong finds and locks up to n of the chunks, from the last one on.
// Their files are locked with them, which nobody else asks for.
func (s *Store) lockChunksAmong(tx *gorm.DB, among equalChunks, n int) (found []takenChunk, err error) {
	found = make([]takenChunk, 0, n)
	err = query(tx, func(rows *sql.Rows) error {
		var c takenChunk
		err := rows.Scan(&c.ID, &c.FileID, &c.KeyID, &c.Size, &c.Challenge, &c.State, &c.FileHash, &c.Seed, &c.TagSize)
		found = append(found, c)
		return err
	}, "SELECT c.id, c.file_id, c.key_id, c.size, c.challenge, c.state, f.hash, f.seed, f.tag_size"+
		" FROM chunks c"+s.dialect.bySize+s.dialect.joinInOrder+"files f"+s.dialect.byID+" ON f.id = c.file_id"+
		" WHERE c.key_id = ? AND c.size = ? AND c.id BETWEEN ? AND ? ORDER BY c.id DESC LIMIT ?"+s.dialect.skipLocked,
		among.keyID, among.size, among.first, among.last, n)
	return found, err
}

func deleteChunks(tx *gorm.DB, chunks []takenChunk) error {
	if len(chunks) == 0 {
		return nil
	}
	ids := make([]any, len(chunks))
	for i, c := range chunks {
		ids[i] = c.ID
	}
	_, err := exec(tx, "DELETE FROM chunks WHERE id IN ("+placeholders(len(ids))+")", ids...)
	return err
}

// makeContracts gives the chunks to the token.
func (s *Store) makeContracts(tx *gorm.DB, t *lockedToken, chunks []takenChunk, interval time.Duration, now time.Time) ([]HandedOut, error) {
	due := cut(now.Add(interval))
	if err := insertContracts(tx, t.ID, chunks, interval, due); err != nil {
		return nil, err
	}
	var size int64
	out := make([]HandedOut, len(chunks))
	for i, c := range chunks {
		size += c.Size
		out[i] = HandedOut{
			FileID:    c.FileID,
			FileHash:  node.FileHash(c.FileHash),
			Seed:      c.Seed,
			Size:      c.Size,
			TagSize:   c.TagSize,
			Challenge: c.Challenge,
			Due:       due,
		}
	}
	t.take(now, due, int64(len(chunks)), size)
	return out, s.saveTokens(tx, []*lockedToken{t})
}

func insertContracts(tx *gorm.DB, tokenID int64, chunks []takenChunk, interval time.Duration, due time.Time) error {
	unanswered := make([]byte, len(node.Digest{}))
	for batch := range slices.Chunk(chunks, batchRows) {
		values := make([]any, 0, 12*len(batch))
		for _, c := range batch {
			values = append(values, tokenID, c.FileID, c.FileHash, c.KeyID, c.Size, interval.Microseconds(),
				c.Challenge, c.State, micros(due), unanswered, []byte{}, micros(due))
		}
		const row = "(?,?,?,?,?,?,0,0,?,?,?,0,?,?,?,1)"
		_, err := exec(tx, "INSERT INTO contracts (token_id, file_id, file_hash, key_id, size, period, version, sequence,"+
			" challenge, state, due, answered, accepted, wrong, expiry, live) VALUES "+row+
			strings.Repeat(","+row, len(batch)-1), values...)
		if err != nil {
			return err
		}
	}
	return nil
}
