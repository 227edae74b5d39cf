package store

import (
	"database/sql"
	"math"
	"math/rand/v2"

	"github.com/driveshare/downstream-node/internal/node"
)

// chunkAndFile is a chunk of the inventory and its file.
type chunkAndFile struct {
	chunkRow
	file   fileRow // only the fileColumns are set
	lost   bool    // whether another copy of the file was lost; only set for copies
	renews int64   // the completed contract that the chunk renews, or 0
}

var fileColumns = fileTable.only("hash", "seed", "tag_size", "content_id")

// selectChunks is the start of a query for appendChunks. index chooses the index of chunks.
func (s *Store) selectChunks(index string) string { return s.selectFrom("0", index) }

// selectCopies is selectChunks for copies. It also locks the rows of contents, so that no
// other copy of the files is lost until the hand-out ends.
func (s *Store) selectCopies(index string) string {
	return s.selectFrom("o.lost > 0", index) + s.dialect.joinInOrder + "contents o" + s.dialect.byID + " ON o.id = f.content_id"
}

func (s *Store) selectFrom(lost, index string) string {
	return "SELECT " + chunkTable.list("c.") + ", " + fileColumns.list("f.") + ", " + lost +
		" FROM chunks c" + index + s.dialect.joinInOrder + "files f" + s.dialect.byID + " ON f.id = c.file_id"
}

// appendChunks appends the chunks that a query finds.
func appendChunks(found []chunkAndFile, t *tx, query string, args ...any) ([]chunkAndFile, error) {
	return appendRows(found, t, func(c *chunkAndFile) []any {
		return append(append(chunkTable.addresses(&c.chunkRow), fileColumns.addresses(&c.file)...), &c.lost)
	}, query, args...)
}

// takeChunks removes the largest chunks from the inventory, and among equal sizes those of
// the files with the greatest need: at most limit chunks, with at most room bytes
// together. It removes no chunk that it does not return, and does not wait for concurrent
// hand-outs.
func (s *Store) takeChunks(t *tx, owner *owner, room int64, limit int) ([]chunkAndFile, error) {
	var taken []chunkAndFile
	for size, below := room, int64(math.MaxInt64); size > 0 && len(taken) < limit; {
		// If another hand-out takes some of these chunks first, this hand-out
		// returns fewer chunks.
		largest, err := s.largestChunks(t, owner.KeyID, size, below)
		if err != nil || largest.size == 0 {
			return taken, err
		}
		n := int(min(int64(limit-len(taken)), room/largest.size))
		batch, err := s.lockChunks(t, owner, largest, n)
		if err != nil {
			return nil, err
		}
		if len(batch) > 0 {
			// Some databases accept SKIP LOCKED but do not lock the rows. Then another
			// hand-out may have taken a chunk, or adoptFiles may have raised its need.
			ids := idsOf(batch, func(c chunkAndFile) int64 { return c.ID })
			if err := t.execExactly(len(ids), "DELETE FROM chunks WHERE id IN "+idList(ids)+" AND need <= ?", largest.need); err != nil {
				return nil, err
			}
		}
		taken = append(taken, batch...)
		room -= largest.size * int64(len(batch))
		// Other hand-outs hold the remaining chunks of this size and need, or the farmer may
		// not hold them.
		if size, below = largest.size, largest.need; size > room {
			size, below = room, math.MaxInt64
		}
	}
	return taken, nil
}

// equalChunks are the chunks of one heartbeat key, size and need, with ids from first
// to last.
type equalChunks struct{ keyID, size, need, first, last int64 }

// largestChunks finds the largest chunks up to a size, with the greatest need. Chunks of
// that size must have a need below the given one. size is 0 if there are none.
func (s *Store) largestChunks(t *tx, keyID, size, below int64) (c equalChunks, err error) {
	c.keyID = keyID
	err = t.query(func(rows *sql.Rows) error { return rows.Scan(&c.size, &c.need, &c.first, &c.last) },
		"SELECT c.size, c.need, (SELECT d.id FROM chunks d"+s.dialect.bySize+" WHERE d.key_id = c.key_id AND d.size = c.size AND d.need = c.need"+
			" ORDER BY d.id LIMIT 1), c.id FROM chunks c"+s.dialect.bySize+
			" WHERE c.key_id = ? AND (c.size < ? OR c.size = ? AND c.need < ?) ORDER BY c.size DESC, c.need DESC, c.id DESC LIMIT 1",
		keyID, size, size, below)
	return c, err
}

// ranges splits the ids at a random one. If all hand-outs started at the same
// end, each would scan the rows that the others have locked. It would also scan
// recently deleted rows, which the database keeps for some time. A search goes from the
// end of a range towards smaller ids: if it starts in a gap, it finds the rows before the gap.
func (c equalChunks) ranges() [][2]int64 {
	begin := c.first + rand.N(c.last-c.first+1)
	return [][2]int64{{c.first, begin}, {begin + 1, c.last}}
}

// lockChunks finds and locks up to n of these chunks that the owner may hold.
func (s *Store) lockChunks(t *tx, owner *owner, c equalChunks, n int) ([]chunkAndFile, error) {
	if c.need > node.NeedOfNew { // the files have holders
		return s.lockCopies(t, owner, c, n)
	}
	return s.lockEqual(t, s.selectChunks(s.dialect.bySize), c, n)
}

// lockEqual finds and locks up to n of these chunks. query is selectChunks or selectCopies.
// This also locks the rows of the files, which no other transaction needs.
func (s *Store) lockEqual(t *tx, query string, c equalChunks, n int) (found []chunkAndFile, err error) {
	found = make([]chunkAndFile, 0, n)
	for _, ids := range c.ranges() {
		found, err = appendChunks(found, t, query+
			" WHERE c.key_id = ? AND c.size = ? AND c.need = ? AND c.id BETWEEN ? AND ? ORDER BY c.id DESC LIMIT ?"+s.dialect.skipLocked,
			c.keyID, c.size, c.need, ids[0], ids[1], n-len(found))
		if err != nil || len(found) == n {
			break
		}
	}
	return found, err
}
