package main

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/test/bench/report"
)

// These constants describe the hand-outs. Several farmers run at the same time, and
// each request asks for ten chunks of 10 kB.
const (
	handOutFarmers  = 4
	handOutEach     = 10 // number of contracts in each request
	handOutRequests = 500
	handOutFiles    = handOutFarmers * handOutRequests * handOutEach
)

// measureHandOut hands out chunks of both schemes, and then chunks of files that three farmers
// should hold.
func measureHandOut(b *bench) []report.Figure {
	var figures []report.Figure
	for _, scheme := range []heartbeat.Type{heartbeat.Swizzle, heartbeat.Merkle} {
		s := newInventory(b, b.start(), scheme, 0)
		figure := s.measure(fmt.Sprintf("%s hand-outs, %d a request, %d farmers", scheme, handOutEach, handOutFarmers))
		twice := report.New("… of them, handed out twice", "chunks", float64(s.twice))
		figures = append(figures, figure.AtLeast(5000), twice.AtMost(0))
	}
	copies := newInventory(b, b.start(), heartbeat.Merkle, 3)
	figure := copies.measure(fmt.Sprintf("%s hand-outs, %d a request, %d farmers, redundancy 3", heartbeat.Merkle, handOutEach, handOutFarmers))
	return append(figures, figure.AtLeast(5000))
}

// inventory holds the chunks in the node's inventory, and the farmers that take the
// chunks.
type inventory struct {
	b           *bench
	node        *running
	count       int
	farmers     []holder
	first, last int64 // ids of the farmers
	twice       int   // number of chunks that more than one farmer received
	spare       int   // number of chunks that farmers leave, because hand-outs of copies lock more than they take
}

// newInventory records the farmers, and files with their tags. With a redundancy above 1, other
// farmers hold copies of them. The table kept_chunks holds the chunks that refill copies
// to the inventory.
func newInventory(b *bench, n *running, scheme heartbeat.Type, redundancy int) *inventory {
	s := &inventory{b: b, node: n, count: b.scaled(handOutFiles)}
	_, keyID := n.key(b, scheme)
	files := b.encode(n, scheme, s.count, fileSize)
	n.addFiles(b, files, keyID)
	n.insert(b, "tags", "file_id, part, content", s.count, func(i int) []any {
		return []any{files[i].id, 0, files[i].tag}
	})
	n.exec(b, "CREATE OR REPLACE TABLE kept_chunks LIKE chunks")
	n.insert(b, "kept_chunks", "file_id, key_id, size, challenge, state, created", s.count, func(i int) []any {
		return []any{files[i].id, keyID, files[i].size, files[i].challenge, files[i].state, 0}
	})
	if redundancy > 1 {
		s.spare = s.count / 10
		s.hold(files, redundancy, keyID)
	}
	s.farmers = n.addFarmers(b, files, handOutFarmers, s.count, keyID)
	s.first, s.last = s.farmers[0].id, s.farmers[handOutFarmers-1].id
	return s
}

// hold records that other farmers hold copies of the files: of as many files none as one,
// and so on up to one copy less than the redundancy.
func (s *inventory) hold(files []encoded, redundancy int, keyID int64) {
	first, last := files[0].id, files[len(files)-1].id
	s.node.exec(s.b, "INSERT INTO contents (id, hash, seed, size, key_id, live, waiting, lost)"+
		" SELECT id, hash, seed, size, key_id, id % ?, 1, 0 FROM files WHERE id BETWEEN ? AND ?", redundancy, first, last)
	s.node.exec(s.b, "UPDATE files SET content_id = id WHERE id BETWEEN ? AND ?", first, last)
	for live := range redundancy {
		need := node.Need(int64(redundancy), slices.Repeat([]float64{1}, live))
		s.node.exec(s.b, "UPDATE kept_chunks SET need = ? WHERE file_id % ? = ?", need, redundancy, live)
	}
	due := time.Now().Add(interval).UnixMicro()
	for i, h := range s.node.addFarmers(s.b, files, redundancy-1, s.count, keyID) {
		s.node.exec(s.b, "UPDATE tokens SET ip = ? WHERE id = ?", fmt.Sprintf("192.0.%d.1", i), h.id)
		s.node.exec(s.b, "INSERT INTO files (hash, seed, size, key_id, tag_size, content_id)"+
			" SELECT hash, seed, size, key_id, 0, id FROM files WHERE id BETWEEN ? AND ? AND id % ? > ?", first, last, redundancy, i)
		s.node.exec(s.b, "INSERT INTO contracts (token_id, file_id, file_hash, key_id, size, period, version, sequence, challenge, state, due, answered, wrong, expiry, live)"+
			" SELECT ?, f.id, f.hash, f.key_id, f.size, ?, 0, 0, '', '', ?, 0, '', ?, 1 FROM files f LEFT JOIN contracts c ON c.file_id = f.id"+
			" WHERE f.content_id BETWEEN ? AND ? AND f.id > ? AND c.id IS NULL", h.id, interval.Microseconds(), due, due, first, last, last)
	}
}

// measure hands out the whole inventory. It fills the inventory again between
// repetitions.
func (s *inventory) measure(name string) report.Figure {
	return s.b.figure(name, "contracts/s", func() float64 {
		s.refill()
		return s.handOut()
	})
}

// refill deletes the contracts and adds the chunks to the inventory again.
func (s *inventory) refill() {
	s.node.exec(s.b, "DELETE FROM contracts WHERE token_id BETWEEN ? AND ?", s.first, s.last)
	s.node.exec(s.b, "UPDATE tokens SET contracts = 0, size = 0 WHERE id BETWEEN ? AND ?", s.first, s.last)
	s.node.exec(s.b, "DELETE FROM chunks")
	s.node.exec(s.b, "INSERT INTO chunks (file_id, key_id, size, challenge, state, created, need)"+
		" SELECT file_id, key_id, size, challenge, state, created, need FROM kept_chunks")
	s.node.exec(s.b, "UPDATE contents SET live = live - 1, waiting = 1 WHERE waiting = 0")
	s.node.exec(s.b, "ANALYZE TABLE chunks")
}

// handOut hands out the chunks, and returns the number of contracts per second.
func (s *inventory) handOut() float64 {
	requests := make([][]request, len(s.farmers))
	got := make([]map[string]int, len(s.farmers)) // number of contracts by file hash, for each farmer
	for i, farmer := range s.farmers {
		got[i] = map[string]int{}
		for range (s.count - s.spare) / len(s.farmers) / handOutEach {
			requests[i] = append(requests[i], get(fmt.Sprintf("/chunk/%s/%d", farmer.token.Hex(), handOutEach*fileSize)))
		}
	}
	t := s.b.send(s.node.api.URL, len(s.farmers), requests, func(farmer int, body []byte) error {
		if n := countFiles(got[farmer], body); n != handOutEach {
			return fmt.Errorf("%d contracts in a hand-out: %.300s", n, body)
		}
		return nil
	})
	s.compare(got)
	return t.perSecond(handOutEach)
}

// countFiles counts the file hashes in a hand-out, and returns the number of
// hashes. To be fast, it searches for an underscore, because no tag contains an
// underscore. It does not search for a quote, because a Merkle tag contains a
// thousand quotes.
func countFiles(got map[string]int, body []byte) int {
	n := 0
	for {
		before, rest, found := bytes.Cut(body, []byte(`_hash":"`))
		if !found || len(rest) < 64 {
			return n
		}
		if bytes.HasSuffix(before, []byte(`"file`)) {
			got[string(rest[:64])]++
			n++
		}
		body = rest
	}
}

// compare counts the chunks that were handed out twice. It also compares the
// farmers' contracts with the records. The records must have the same number of
// contracts, and the inventory must have lost the same number of chunks.
func (s *inventory) compare(got []map[string]int) {
	all := map[string]bool{}
	told := 0
	for _, own := range got {
		for hash, n := range own {
			all[hash] = true
			told += n
		}
	}
	s.twice += told - len(all)
	var contracts, chunks int
	s.node.query(s.b, []any{&contracts, &chunks}, "SELECT (SELECT COUNT(*) FROM contracts WHERE token_id BETWEEN ? AND ?),"+
		" (SELECT COUNT(*) FROM chunks)", s.first, s.last)
	if contracts != told || chunks != s.count-told {
		s.b.Fatalf("the records have %d contracts and %d chunks, but farmers got %d contracts of %d chunks",
			contracts, chunks, told, s.count)
	}
}
