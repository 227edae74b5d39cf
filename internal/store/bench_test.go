package store

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/internal/node"
)

const (
	benchTokens = 100
	benchBatch  = 200 // number of verdicts in a batch, and number of contracts of a token
)

// fill adds files without tags, and returns their rows.
func (f *fixture) fill(b *testing.B, n int) []fileRow {
	b.Helper()
	files := make([]fileRow, n)
	for i := range files {
		seed := fmt.Sprintf("seed %d", f.made.Add(1))
		hash := sha256.Sum256([]byte(seed))
		files[i] = fileRow{Hash: hash[:], Seed: seed, Size: 1 << (i % 8), KeyID: f.key}
	}
	must(b, f.transaction(b.Context(), func(t *tx) error { return insert(t, fileTable, files, "") }))
	stored, err := selectRows(f.reader(b.Context()), fileTable.columns, "FROM files ORDER BY id DESC LIMIT ?", n)
	must(b, err)
	return stored
}

// fillContracts creates benchTokens tokens with benchBatch contracts each. It
// returns a valid verdict for each contract. A batch has verdicts of all tokens.
func (f *fixture) fillContracts(b *testing.B) []Verdict {
	b.Helper()
	tokens := make([]Token, benchTokens)
	for i := range tokens {
		tokens[i] = f.token(b, fmt.Sprint("address ", i))
	}
	files := f.fill(b, benchTokens*benchBatch)
	rows := make([]contractRow, len(files))
	for i, file := range files {
		due := micros(start.Add(interval))
		rows[i] = contractRow{
			TokenID: tokens[i%benchTokens].ID, FileID: file.ID, FileHash: file.Hash, KeyID: f.key, Size: file.Size,
			Period: interval.Microseconds(), Challenge: make([]byte, 172), State: make([]byte, 172),
			Due: due, Expiry: due, Wrong: []byte{}, Live: true,
		}
	}
	must(b, f.transaction(b.Context(), func(t *tx) error { return insert(t, contractTable, rows, "") }))
	stored, err := selectRows(f.reader(b.Context()), contractTable.only("id", "token_id"), "FROM contracts ORDER BY id")
	must(b, err)
	verdicts := make([]Verdict, len(stored))
	for i, row := range stored {
		verdicts[i] = Verdict{
			ContractID: row.ID, TokenID: row.TokenID, Proof: node.Digest{1}, Valid: true, Received: start,
		}
	}
	return verdicts
}

// unanswer removes the effect of all verdicts from the tables.
func (f *fixture) unanswer(b *testing.B) {
	b.StopTimer()
	must(b, f.write.Exec("UPDATE contracts SET answered = 0, accepted = x'"+strings.Repeat("00", 16)+"'").Error)
	b.StartTimer()
}

// BenchmarkCommit measures the commit of batches of valid verdicts. For comparison
// it also measures only the UPDATE of such a batch.
func BenchmarkCommit(b *testing.B) {
	f := newFixture(b, MySQL)
	batches := slices.Collect(slices.Chunk(f.fillContracts(b), benchBatch))

	b.Run("commit", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if i%len(batches) == 0 {
				f.unanswer(b)
			}
			judged, err := f.Commit(b.Context(), batches[i%len(batches)], 3)
			if err != nil || judged[0].Outcome != node.OK {
				b.Fatal(judged[0], err)
			}
		}
		b.ReportMetric(float64(b.N*benchBatch)/b.Elapsed().Seconds(), "verdicts/s")
	})
	b.Run("bare update", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			changes := make([]change[contractRow], 0, benchBatch)
			for _, v := range batches[i%len(batches)] {
				digest := v.Proof
				digest[1] = byte(i)
				changes = append(changes, change[contractRow]{
					id:  v.ContractID,
					old: &contractRow{Live: true},
					new: &contractRow{Version: 1, Answered: true, Accepted: digest[:], Live: true},
				})
			}
			u := updating[contractRow]{table: contractTable.name, columns: contractChanges}
			_, err := update(&tx{ctx: b.Context(), log: f.log, on: f.write.pool}, f.dialect, u, changes)
			must(b, err)
		}
		b.ReportMetric(float64(b.N*benchBatch)/b.Elapsed().Seconds(), "rows/s")
	})
}

// BenchmarkHandOut hands out ten contracts at a time from a large inventory.
func BenchmarkHandOut(b *testing.B) {
	f := newFixture(b, MySQL)
	const stocked, each = 20000, 10
	token := f.token(b, "address")
	limits := HandOutLimits{Contracts: each, BytesPerAddress: 1 << 40, TokensPerIP: 5}
	for i := 0; b.Loop(); i++ {
		if i%(stocked/each) == 0 {
			b.StopTimer()
			f.fillChunks(b, stocked)
			b.StartTimer()
		}
		out, err := f.HandOut(b.Context(), token, 500, limits, interval, start)
		if err != nil || len(out) == 0 {
			b.Fatal(len(out), err)
		}
	}
}

func (f *fixture) fillChunks(b *testing.B, n int) {
	b.Helper()
	files := f.fill(b, n)
	chunks := make([]chunkRow, n)
	for i, file := range files {
		chunks[i] = chunkRow{
			FileID: file.ID, KeyID: f.key, Size: file.Size, Challenge: make([]byte, 172), State: make([]byte, 172),
		}
	}
	must(b, f.transaction(b.Context(), func(t *tx) error { return insert(t, chunkTable, chunks, "") }))
}

// BenchmarkApplyFault measures how many contracts move in a second after a fault.
func BenchmarkApplyFault(b *testing.B) {
	f := newFixture(b, MySQL)
	f.fillContracts(b)
	for i := range b.N {
		at := micros(start) + int64(i)
		id, err := transact(b.Context(), f.Store, func(t *tx) (int64, error) {
			return t.insertID("INSERT INTO faults (start, ended, resume, cause, evidence) VALUES (?, ?, ?, 'down', '')", at, at+1, at+2)
		})
		must(b, err)
		for done := false; !done; {
			done, err = f.ApplyFault(b.Context(), id)
			must(b, err)
		}
	}
	b.ReportMetric(float64(b.N*benchTokens*benchBatch)/b.Elapsed().Seconds(), "contracts/s")
}
