package main

import (
	"bytes"
	"database/sql"
	"fmt"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/test/bench/report"
)

// The hand-outs: so many farmers at once, each asking for ten chunks of 10 kB.
const (
	handOutFarmers  = 4
	handOutEach     = 10 // contracts a request
	handOutRequests = 500
	handOutFiles    = handOutFarmers * handOutRequests * handOutEach
)

// measureHandOut hands out chunks of both schemes, to farmers of their own.
func measureHandOut(b *bench) []report.Figure {
	var figures []report.Figure
	for _, scheme := range []heartbeat.Type{heartbeat.Swizzle, heartbeat.Merkle} {
		s := newInventory(b, b.start(), scheme)
		name := fmt.Sprintf("%s hand-outs, %d a request, %d farmers", scheme, handOutEach, handOutFarmers)
		figure := s.measure(name).AtLeast(5000)
		twice := report.New("… of them, handed out twice", "chunks", float64(s.twice)).AtMost(0)
		figures = append(figures, figure, twice)
	}
	return figures
}

// inventory is chunks in the node's inventory, and farmers who take them.
type inventory struct {
	b       *bench
	node    *running
	count   int
	tokens  []node.Token
	fileIDs [2]int64 // from and to, of its files
	ids     [2]int64 // from and to, of its tokens
	twice   int      // chunks that were handed out to more than one farmer
}

// newInventory writes files with their tags, and the farmers. A kept copy of
// the chunks is what refill fills the inventory from.
func newInventory(b *bench, n *running, scheme heartbeat.Type) *inventory {
	s := &inventory{b: b, node: n, count: b.scaled(handOutFiles)}
	_, keyID := n.key(b, scheme)
	files := b.encode(n, scheme, s.count, fileSize)
	rows, fileIDs := fileTable(&n.ids, files, keyID)
	s.fileIDs = [2]int64{n.ids.file - int64(len(files)) + 1, n.ids.file}
	tags := &table{name: "tags", columns: []string{"file_id", "part", "content"}}
	chunks := &table{name: "kept_chunks", columns: []string{"file_id", "key_id", "size", "challenge", "state", "created"}}
	for _, e := range files {
		id := fileIDs[e.hash]
		tags.add(id, 0, e.tag)
		chunks.add(id, keyID, e.size, e.challenge, e.state, 0)
	}
	f := &field{node: n, files: files}
	tokens, addresses := f.addFarmers(handOutFarmers, s.count, keyID)
	for _, h := range f.farmers {
		s.tokens = append(s.tokens, h.token)
	}
	s.ids = [2]int64{f.farmers[0].id, f.farmers[handOutFarmers-1].id}
	s.exec("CREATE OR REPLACE TABLE kept_chunks LIKE chunks")
	if err := insert(b.ctx, n.db, rows, tags, chunks, addresses, tokens); err != nil {
		b.Fatal(err)
	}
	return s
}

func (s *inventory) exec(statement string, args ...any) sql.Result {
	result, err := s.node.db.ExecContext(s.b.ctx, statement, args...)
	if err != nil {
		s.b.Fatal(err)
	}
	return result
}

// measure hands the whole inventory out, and fills it again between
// repetitions.
func (s *inventory) measure(name string) report.Figure {
	return report.New(name, "contracts/s", s.b.repeat(name, func() float64 {
		s.refill()
		return s.handOut()
	})...)
}

// refill takes the contracts back and lays the chunks in stock again.
func (s *inventory) refill() {
	s.exec("DELETE FROM contracts WHERE token_id BETWEEN ? AND ?", s.ids[0], s.ids[1])
	s.exec("UPDATE tokens SET contracts = 0, size = 0 WHERE id BETWEEN ? AND ?", s.ids[0], s.ids[1])
	s.exec("DELETE FROM chunks")
	s.exec("INSERT INTO chunks (file_id, key_id, size, challenge, state, created)" +
		" SELECT file_id, key_id, size, challenge, state, created FROM kept_chunks")
	s.exec("ANALYZE TABLE chunks")
}

// handOut has every chunk handed out, and gives the contracts a second.
func (s *inventory) handOut() float64 {
	requests := make([][]request, len(s.tokens))
	got := make([]map[string]int, len(s.tokens)) // by file hash, of each farmer
	for i, token := range s.tokens {
		got[i] = map[string]int{}
		for range s.count / len(s.tokens) / handOutEach {
			requests[i] = append(requests[i], get(fmt.Sprintf("/chunk/%s/%d", token.Hex(), handOutEach*fileSize)))
		}
	}
	r := s.b.pour(s.node.api.URL, len(s.tokens), requests, func(farmer, _ int, answer []byte) error {
		if n := note(got[farmer], answer); n != handOutEach {
			return fmt.Errorf("%d contracts in a hand-out: %.300s", n, answer)
		}
		return nil
	})
	s.account(got)
	return float64(len(r.each)*handOutEach) / r.took.Seconds()
}

// note counts the file hashes of a hand-out, and says how many it has. It looks
// for an underscore, which no tag has in it, and not for a quote, of which a
// Merkle tag has a thousand: the load is to cost little.
func note(got map[string]int, answer []byte) int {
	n := 0
	for {
		before, rest, found := bytes.Cut(answer, []byte(`_hash":"`))
		if !found || len(rest) < 64 {
			return n
		}
		if bytes.HasSuffix(before, []byte(`"file`)) {
			got[string(rest[:64])]++
			n++
		}
		answer = rest
	}
}

// account counts what was handed out twice, and holds what the farmers were
// told against the records: a contract each, and no chunk left of those.
func (s *inventory) account(got []map[string]int) {
	all := map[string]int{}
	told := 0
	for _, own := range got {
		for hash, n := range own {
			all[hash] += n
			told += n
		}
	}
	s.twice += told - len(all)
	var contracts, chunks int
	row := s.node.db.QueryRowContext(s.b.ctx, "SELECT (SELECT COUNT(*) FROM contracts WHERE token_id BETWEEN ? AND ?),"+
		" (SELECT COUNT(*) FROM chunks)", s.ids[0], s.ids[1])
	if err := row.Scan(&contracts, &chunks); err != nil {
		s.b.Fatal(err)
	}
	if contracts != told || chunks != s.count-told {
		s.b.Fatalf("%d contracts and %d chunks in the records, where farmers were told of %d contracts out of %d chunks",
			contracts, chunks, told, s.count)
	}
}
