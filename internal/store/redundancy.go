package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// CopyCount counts the files of which that many copies are proved.
type CopyCount struct {
	Copies, Files, Bytes int64
}

// HeldFile is a file that farmers hold and that may have several copies.
type HeldFile struct {
	Hash    node.FileHash
	Size    int64
	Proved  int64 // the number of live copies that their farmers have proved once
	Live    int64
	Waiting bool // another copy waits in the inventory
}

// Copy is a copy of a file. A farmer holds it, or it waits in the inventory.
type Copy struct {
	Farmer string // the id; "" if the copy waits
	State  CopyState
	Since  time.Time // when a waiting copy was made; zero otherwise, because contracts do not record their beginning
}

// CopyState says how far a copy is.
type CopyState string

// The states of a copy.
const (
	CopyProved   CopyState = "proved"   // its farmer has proved it once
	CopyUnproven CopyState = "unproven" // its farmer has not proved it yet
	CopyWaiting  CopyState = "waiting"  // it waits in the inventory
)

// neverProved is true in SQL for a contract c whose farmer has never proved the file. A renewed
// contract is unproven, but its farmer has proved an earlier copy of the same file.
const neverProved = "c.unproven = 1 AND c.sequence = 0"

// heldFiles selects from the files of which at least one copy is live. proved is the
// number of copies that were proved once.
//
// contents counts the live copies of each file, so the query reads an index of contents,
// and of the contracts only the unproven ones. They are few, because farmers prove a contract
// within an interval or lose it. With 1,000,000 contracts, three for each file, it takes
// half a second if 5 % are unproven, and two to four seconds if half are.
func (s *Store) heldFiles() (proved, from string) {
	d := s.dialect
	return d.greatest + "(0, g.live - COALESCE(u.copies, 0))", // older processes do not count copies, see Copies
		" FROM contents g LEFT JOIN (SELECT f.content_id, COUNT(*) AS copies FROM tokens t" +
			d.joinInOrder + "contracts c" + d.byUnproven + " ON c.token_id = t.id AND c.live = 1 AND " + neverProved +
			d.joinInOrder + "files f ON f.id = c.file_id WHERE f.content_id > 0 GROUP BY f.content_id) u ON u.content_id = g.id" +
			" WHERE g.live > 0"
}

// CopyCounts counts the files that farmers hold by their proved copies, in ascending order.
func (s *Store) CopyCounts(ctx context.Context) (counts []CopyCount, err error) {
	defer wrap(&err, "count the copies of files")
	return viewed(ctx, s, s.copyCounts)
}

func (s *Store) copyCounts(t *tx) ([]CopyCount, error) {
	proved, from := s.heldFiles()
	return appendRows(nil, t, func(c *CopyCount) []any { return []any{&c.Copies, &c.Files, &c.Bytes} },
		"SELECT "+proved+" AS proved, COUNT(*), SUM(g.size)"+from+" GROUP BY proved ORDER BY proved")
}

// HeldFiles lists up to limit files with fewer than below proved copies, those with the
// fewest first.
func (s *Store) HeldFiles(ctx context.Context, below int64, limit int) (files []HeldFile, err error) {
	defer wrap(&err, "list files")
	proved, from := s.heldFiles()
	err = s.reader(ctx).query(func(rows *sql.Rows) error {
		var f HeldFile
		var hash []byte
		err := rows.Scan(&hash, &f.Size, &f.Proved, &f.Live, &f.Waiting)
		copy(f.Hash[:], hash)
		files = append(files, f)
		return err
	}, "SELECT g.hash, g.size, "+proved+" AS proved, g.live, g.waiting"+from+" AND "+proved+" < ? ORDER BY proved, g.id LIMIT ?", below, limit)
	return files, err
}

// FileCopies returns the size and the copies of a file, the oldest first. It returns ErrNotFound
// for a file without a row in contents, because no index finds such a file by its hash.
func (s *Store) FileCopies(ctx context.Context, hash node.FileHash) (size int64, copies []Copy, err error) {
	defer wrap(&err, "find file %s", hash)
	found := false
	err = s.reader(ctx).query(func(rows *sql.Rows) error {
		found = true
		var farmer *string
		var unproven *bool
		var made *int64
		if err := rows.Scan(&size, &farmer, &unproven, &made); err != nil || farmer == nil && made == nil {
			return err
		}
		state := CopyProved
		if made != nil {
			state = CopyWaiting
		} else if orZero(unproven) {
			state = CopyUnproven
		}
		copies = append(copies, Copy{orZero(farmer), state, moment(orZero(made))})
		return nil
	}, "SELECT g.size, t.farmer_id, "+neverProved+", h.created FROM contents g LEFT JOIN files f ON f.content_id = g.id"+
		" LEFT JOIN contracts c"+s.dialect.byFile+" ON c.file_id = f.id AND c.live = 1 LEFT JOIN tokens t ON t.id = c.token_id"+
		" LEFT JOIN chunks h ON h.file_id = f.id WHERE g.hash = ? ORDER BY f.id", hash[:])
	if err == nil && !found {
		err = ErrNotFound
	}
	return size, copies, err
}
