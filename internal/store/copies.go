package store

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// contentRow is a file that has copies; migrations/mysql/00011_copies.sql explains it.
// At most one copy waits in the inventory. So two hand-outs never place copies of one file
// at the same time, and a hand-out sees all holders.
type contentRow struct {
	ID      int64
	Hash    []byte
	Seed    string
	Size    int64
	KeyID   int64
	Live    int64
	Renew   int64
	Waiting bool
	Lost    int64
}

var contentTable = tableOf[contentRow]("contents")

const (
	// repairDelay is how long a copy must be lost before it is replaced. Until then, the
	// verdict on a proof that arrived in time can restore the contract.
	repairDelay = time.Minute
	// maxDeficits limits the files among which the stocker looks for one that fits.
	maxDeficits = 100
	// placing is how long copies may wait until they count as copies that no farmer may hold.
	placing = 10 * time.Minute
	// maxStarted limits the files with too few copies that the stocker counts.
	maxStarted = 20_000
)

// missingCopy finds the file whose next copy must be made: one with a completed contract,
// or else the file with the fewest copies. room is what the inventory has left. Other copies
// fill the inventory only in part, so that there are new files for farmers that may hold none of the
// copies; but one copy may always wait. Renewals may fill the inventory once more, because
// their farmers take them at once.
func missingCopy(t *tx, keyID, room int64, inventory node.Inventory, now time.Time) (missing contentRow, ok bool, err error) {
	const (
		reserved = " (SELECT COALESCE(SUM(size), 0) FROM reservations WHERE key_id = ? AND content_id > 0 AND lease_until > ?)"
		free     = " AND NOT EXISTS (SELECT 1 FROM reservations r WHERE r.content_id = contents.id AND r.lease_until > ?)"
	)
	at := micros(now)
	for _, kind := range []struct {
		waiting string // the condition on the files of this kind that wait
		part    int64  // the bytes that may wait
		room    int64
		missing string
		args    []any
	}{
		{"renew > 0", inventory.TotalSize, inventory.TotalSize, "renew > 0" + free, []any{at}},
		{
			"live > 0", inventory.TotalSize - inventory.TotalSize/inventory.Redundancy, room, "renew = 0 AND live BETWEEN 1 AND ? AND lost <= ?" + free + " ORDER BY live, lost",
			[]any{inventory.Redundancy - 1, micros(now.Add(-repairDelay)), at},
		},
	} {
		taken, err := t.number("SELECT (SELECT COALESCE(SUM(size), 0) FROM contents WHERE key_id = ? AND waiting = 1 AND "+kind.waiting+") +"+reserved, keyID, keyID, at)
		if err != nil {
			return missing, false, err
		}
		found, err := selectRows(t, contentTable.columns, "FROM contents WHERE key_id = ? AND waiting = 0 AND "+kind.missing+" LIMIT ?",
			slices.Concat([]any{keyID}, kind.args, []any{maxDeficits})...)
		if err != nil {
			return missing, false, err
		}
		i := slices.IndexFunc(found, func(c contentRow) bool { return c.Size <= kind.room && (taken == 0 || c.Size <= kind.part-taken) })
		if i >= 0 {
			return found[i], true, nil
		}
	}
	return missing, false, nil
}

// mayStart returns whether a new file of a size may be made. What the files in the inventory and
// with farmers still lack must fit into the inventory once. If there were more, new files would take the
// room at the farmers that those copies need. But there may always be one file of
// each size. If no copy was placed for some time, there are too few farmers for the redundancy,
// and new files may be made all the same.
func mayStart(t *tx, keyID int64, inventory node.Inventory, now time.Time) (func(size int64) bool, error) {
	// One SELECT for each range of the index contents_missing: (key_id, waiting, renew, live).
	var ranges []string
	var args []any
	for _, renew := range []string{"renew = 0", "renew > 0"} {
		for waiting, least := range []int64{1, 0} { // a file without copies whose first one does not wait is not started
			ranges = append(ranges, "SELECT size, live FROM contents WHERE key_id = ? AND waiting = ? AND "+renew+" AND live BETWEEN ? AND ?")
			args = append(args, keyID, waiting, least, inventory.Redundancy-1)
		}
	}
	lacking := map[int64]int64{} // by size, in bytes
	var size, files, lacks, total, all int64
	err := t.query(func(rows *sql.Rows) error {
		err := rows.Scan(&size, &files, &lacks)
		lacking[size] = lacks
		total, all = total+lacks, all+files
		return err
	}, "SELECT size, COUNT(*), SUM(size * (? - live)) FROM ("+strings.Join(ranges, " UNION ALL ")+" LIMIT ?) started GROUP BY size",
		slices.Concat([]any{inventory.Redundancy}, args, []any{maxStarted})...)
	if err != nil {
		return nil, err
	}
	youngest, err := t.number("SELECT COALESCE(MAX(created), 0) FROM chunks WHERE key_id = ? AND need > ?", keyID, node.NeedOfNew)
	stuck := youngest > 0 && moment(youngest).Before(now.Add(-placing))
	return func(size int64) bool {
		return stuck || lacking[size] == 0 || all < maxStarted && size <= (inventory.TotalSize-total)/inventory.Redundancy
	}, err
}

// insertContent adds a file whose first copy will wait in the inventory.
func insertContent(t *tx, c NewChunk) (id int64, err error) {
	cs := contentTable.without("id")
	row := contentRow{Hash: c.Hash[:], Seed: c.Seed, Size: c.Size, KeyID: c.KeyID, Waiting: true}
	return t.insertID("INSERT INTO contents ("+cs.list("")+") VALUES ("+placeholders(len(cs))+")", cs.appendArgs(nil, &row)...)
}

// claimCopy notes that another copy of a file waits in the inventory, and returns the
// file's need. It returns ErrReservationGone if the file needs no copy any more.
func (s *Store) claimCopy(t *tx, contentID, redundancy int64, now time.Time) (need int64, err error) {
	claimed, err := t.execCount("UPDATE contents SET waiting = 1 WHERE id = ? AND waiting = 0 AND (renew > 0 OR live BETWEEN 1 AND ?)", contentID, redundancy-1)
	if err != nil {
		return 0, err
	}
	if claimed == 0 {
		return 0, ErrReservationGone
	}
	lower := []float64{}
	renew := false
	err = t.query(func(rows *sql.Rows) error {
		var evidence []byte
		var unproven, completed bool
		err := rows.Scan(&evidence, &unproven, &completed)
		bound := 0.0
		if e := (node.Evidence{}); !unproven && len(evidence) > 0 && e.UnmarshalBinary(evidence) == nil {
			online, correct := e.Scores(now, s.rules.HalfLife)
			bound = min(online.Lower, correct.Lower)
		}
		lower, renew = append(lower, bound), renew || completed
		return err
	}, "SELECT t.evidence, "+neverProved+", c.completed FROM files f JOIN contracts c"+s.dialect.byFile+" ON c.file_id = f.id AND c.live = 1"+
		" JOIN tokens t ON t.id = c.token_id WHERE f.content_id = ?", contentID)
	if renew {
		return node.NeedOfRenewal, err
	}
	return node.Need(redundancy, lower), err
}

// lockCopies finds and locks up to n of these chunks that the owner may hold. It locks some
// more, because the owner may not hold all of them.
func (s *Store) lockCopies(t *tx, owner *owner, c equalChunks, n int) (allowed []chunkAndFile, err error) {
	var renewals []chunkAndFile
	if c.need >= node.NeedOfRenewal {
		ids, err := t.numbers("SELECT h.id FROM contracts c JOIN files f ON f.id = c.file_id JOIN files g ON g.content_id = f.content_id JOIN chunks h ON h.file_id = g.id"+
			" WHERE c.token_id = ? AND c.live = 1 AND c.completed = 1 AND f.content_id > 0 AND h.size = ? LIMIT ?", owner.ID, c.size, n)
		if err == nil && len(ids) > 0 {
			renewals, err = appendChunks(nil, t, s.selectCopies(s.dialect.byID)+" WHERE c.id IN "+idList(ids)+" ORDER BY c.id DESC"+s.dialect.skipLocked)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, enough := range []int{n + n/4 + 2, 4*n + 40} {
		var locked []chunkAndFile
		locked, err = s.lockEqual(t, s.selectCopies(s.dialect.bySize), c, enough)
		if err != nil {
			return nil, err
		}
		allowed, err = s.allowed(t, owner, append(renewals, locked...))
		if err != nil || len(allowed) >= n || len(locked) < enough {
			break
		}
	}
	return allowed[:min(n, len(allowed))], err
}

// allowed returns the chunks that the farmer may hold beside the other holders of their
// files. Those of its completed contracts come first, then those of files that have no holder in its
// country. Other farmers' completed contracts are kept for them until they expire.
func (s *Store) allowed(t *tx, owner *owner, chunks []chunkAndFile) ([]chunkAndFile, error) {
	if len(chunks) == 0 {
		return nil, nil
	}
	holders := map[int64][]node.Holder{}
	renews := map[int64]int64{} // the completed contract of each file: the farmer's own, or 0
	err := t.query(func(rows *sql.Rows) error {
		var content, contract int64
		var ip string
		var country *string
		var completed bool
		h := node.Holder{}
		err := rows.Scan(&content, &contract, &completed, &h.TokenID, &h.AddressID, &ip, &country)
		switch h.Vicinity, h.Country = node.VicinityOf(ip), orZero(country); {
		case !completed:
			holders[content] = append(holders[content], h)
		case h.TokenID == owner.ID:
			renews[content] = contract
		default:
			renews[content] += 0
		}
		return err
		// A token has at most one contract for a file, also if it has expired.
	}, "SELECT f.content_id, c.id, c.live AND c.completed, t.id, t.address_id, t.ip, t.country FROM files f"+s.dialect.byContent+s.dialect.joinInOrder+
		"contracts c"+s.dialect.byFile+" ON c.file_id = f.id"+s.dialect.joinInOrder+"tokens t"+s.dialect.byID+" ON t.id = c.token_id WHERE f.content_id IN "+
		idList(distinct(idsOf(chunks, func(c chunkAndFile) int64 { return c.file.ContentID })))+" AND (c.live = 1 OR c.token_id = ?)", owner.ID)
	if err != nil {
		return nil, err
	}
	var renewals, preferred, others []chunkAndFile
	seen := map[int64]bool{}
	for _, c := range chunks {
		content := c.file.ContentID
		contract, completed := renews[content]
		held := holders[content]
		switch c.renews = contract; {
		case seen[content], completed && contract == 0, !owner.holder.MayJoin(held):
		case completed:
			renewals = append(renewals, c)
		case owner.holder.AddsCountry(held):
			preferred = append(preferred, c)
		default:
			others = append(others, c)
		}
		seen[content] = true
	}
	return slices.Concat(renewals, preferred, others), nil
}

// renew continues completed contracts with the new copies of their files. So the farmer
// keeps its contract without a gap, and a proof for an earlier challenge cannot count for the new
// copy.
func (s *Store) renew(t *tx, owner *lockedToken, chunks []chunkAndFile, interval time.Duration, due, now time.Time) error {
	if len(chunks) == 0 {
		return nil
	}
	contracts := idsOf(chunks, func(c chunkAndFile) int64 { return c.renews })
	if err := t.exec("INSERT INTO orphans (file_id) SELECT file_id FROM contracts WHERE id IN " + idList(contracts)); err != nil {
		return err
	}
	for _, c := range chunks {
		// Unproven keeps the tag until the first proof.
		err := t.exec("UPDATE contracts SET file_id = ?, key_id = ?, challenge = ?, state = ?, sequence = sequence + 1, version = version + 1,"+
			" period = ?, due = ?, expiry = ?, answered = 0, wrong = '', unproven = 1, completed = 0, fault_mark = 0 WHERE id = ?",
			c.FileID, c.KeyID, c.Challenge, c.State, interval.Microseconds(), micros(due), micros(due), c.renews)
		if err != nil {
			return err
		}
		owner.happened = append(owner.happened, farmerEventRow{At: micros(now), Kind: string(node.EventCompleted), FileHash: c.file.Hash})
	}
	return t.exec("UPDATE contents SET waiting = 0, renew = renew - 1 WHERE id IN " +
		idList(idsOf(chunks, func(c chunkAndFile) int64 { return c.file.ContentID })))
}

// copiesPlaced notes that waiting copies have become contracts. repaired are those of the
// files that have lost a copy before.
func copiesPlaced(t *tx, contents, repaired []int64, now time.Time) error {
	if len(contents) == 0 {
		return nil
	}
	if err := t.exec("UPDATE contents SET waiting = 0, live = live + 1 WHERE id IN " + idList(contents)); err != nil {
		return err
	}
	return recordRepairs(t, repaired, now)
}

// countCopies adds live and renew, for each of the files with these ids, to the counts of
// what it is a copy of. If live is negative, the copies are lost at the given time; if it
// is positive, they are live again.
func countCopies(t *tx, fileIDs []int64, live, renew int, at time.Time) error {
	if len(fileIDs) == 0 {
		return nil
	}
	contents, err := t.numbers("SELECT content_id FROM files WHERE id IN " + idList(fileIDs) + " AND content_id > 0")
	if err != nil || len(contents) == 0 {
		return err
	}
	times := map[int64]int{} // how often each content is among them
	for _, id := range contents {
		times[id]++
	}
	equal := map[int][]int64{}
	for id, n := range times {
		equal[n] = append(equal[n], id)
	}
	for _, n := range slices.Sorted(maps.Keys(equal)) {
		set, args := "live = live + ?, renew = renew + ?", []any{n * live, n * renew}
		if live < 0 {
			set, args = set+", lost = ?", append(args, micros(at))
		}
		list := idList(distinct(equal[n]))
		if err := t.exec("UPDATE contents SET "+set+" WHERE id IN "+list, args...); err != nil {
			return err
		}
		if renew > 0 { // a copy that waits already can renew the contract
			err := t.exec("UPDATE chunks SET need = ? WHERE file_id IN (SELECT id FROM files WHERE content_id IN "+list+")", node.NeedOfRenewal)
			if err != nil {
				return err
			}
		}
	}
	switch {
	case live < 0:
		return recordLosses(t, fileIDs, at)
	case live > 0:
		return undoLosses(t, fileIDs, contents)
	}
	return nil
}

// loseCopies counts the copies of contracts that have ended. The rows must have the
// endingColumns.
func loseCopies(t *tx, ended []contractRow, at time.Time) error {
	for _, completed := range []bool{false, true} {
		var files []int64
		for _, r := range ended {
			if r.Completed == completed {
				files = append(files, r.FileID)
			}
		}
		renew := 0
		if completed {
			renew = -1
		}
		if err := countCopies(t, files, -1, renew, at); err != nil {
			return err
		}
	}
	return nil
}

// Copies brings contents in line with the chunks and contracts, for up to limit files
// with an id after the given one. Processes of older versions do not count copies. It also adds
// up to limit files that have no row in contents yet. It returns the last id,
// or 0 at the end of the table.
func (s *Store) Copies(ctx context.Context, after int64, limit int) (last int64, err error) {
	defer wrap(&err, "count copies")
	return transact(ctx, s, func(t *tx) (int64, error) {
		if err := s.adoptFiles(t, limit); err != nil {
			return 0, err
		}
		ids, err := t.numbers("SELECT id FROM contents WHERE id > ? ORDER BY id LIMIT ?", after, limit)
		if err != nil || len(ids) == 0 {
			return 0, err
		}
		return ids[len(ids)-1], s.recountCopies(t, ids)
	})
}

// recountCopies locks the rows before it counts, so that it does not miss what others
// commit in the meantime.
func (s *Store) recountCopies(t *tx, ids []int64) error {
	list := idList(ids)
	if _, err := t.numbers("SELECT id FROM contents" + s.dialect.byID + " WHERE id IN " + list + " ORDER BY id" + s.dialect.forUpdate); err != nil {
		return err
	}
	contracts := "(SELECT COUNT(*) FROM files f JOIN contracts c" + s.dialect.byFile + " ON c.file_id = f.id AND c.live = 1 WHERE f.content_id = contents.id"
	return t.exec("UPDATE contents SET live = " + contracts + "), renew = " + contracts + " AND c.completed = 1)," +
		" waiting = EXISTS (SELECT 1 FROM files f JOIN chunks h ON h.file_id = f.id WHERE f.content_id = contents.id) WHERE id IN " + list)
}

// adoptFiles adds files to contents that were encoded with a redundancy of 1, so
// that they get copies too.
func (s *Store) adoptFiles(t *tx, limit int) error {
	files, err := t.numbers("SELECT id FROM files WHERE content_id = 0 LIMIT ?"+s.dialect.skipLocked, limit)
	if err != nil || len(files) == 0 {
		return err
	}
	list := idList(files)
	for _, text := range []string{
		"INSERT INTO contents (hash, seed, size, key_id, live, waiting, lost) SELECT hash, seed, size, key_id, 0, 0, 0 FROM files WHERE id IN " + list,
		"UPDATE files SET content_id = (SELECT g.id FROM contents g WHERE g.hash = files.hash) WHERE id IN " + list,
		"UPDATE chunks SET need = 1 WHERE file_id IN " + list,
	} {
		if err := t.exec(text); err != nil {
			return err
		}
	}
	contents, err := t.numbers("SELECT content_id FROM files WHERE id IN " + list)
	if err != nil {
		return err
	}
	return s.recountCopies(t, contents)
}
