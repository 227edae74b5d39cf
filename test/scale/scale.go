// Package scale makes records of any size for a node, for measurements and trials
// of the node. It makes farmers at places all over the world. It distributes
// contracts unevenly over the farmers and over an interval. Some contracts are
// swept, and some have just expired. The same size and seed always make the same
// records.
//
// Every contract has the same challenge and state, which come from a real file. So
// the node can issue challenges for the contracts. The contracts have no tags, like
// contracts that were answered once.
package scale

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/node"
)

// Size is the number of records to make.
type Size struct {
	Farmers   int
	Contracts int
	Largest   int // number of contracts of the first farmer
}

// The sizes that the benchmarks measure.
var (
	Small  = Size{Farmers: 1_000, Contracts: 10_000, Largest: 1_000}
	Medium = Size{Farmers: 10_000, Contracts: 100_000, Largest: 10_000}
	Large  = Size{Farmers: 100_000, Contracts: 1_000_000, Largest: 10_000}
)

// Terms are the values that all contracts have in common.
type Terms struct {
	KeyID            int64 // id of the heartbeat key in the database
	Challenge, State []byte
	Interval         time.Duration
	Now              time.Time // time at which the records will be used
	Seed             uint64
}

// NewTerms encodes a small file with the key.
func NewTerms(ctx context.Context, key heartbeat.Heartbeat, keyID int64, interval time.Duration, now time.Time) (Terms, error) {
	file := bytes.Repeat([]byte("downstream"), 100)
	state, err := key.Encode(ctx, bytes.NewReader(file), int64(len(file)), new(bytes.Buffer), heartbeat.EncodeOptions{})
	if err != nil {
		return Terms{}, err
	}
	challenge, state, err := key.Challenge(state)
	return Terms{KeyID: keyID, Challenge: challenge, State: state, Interval: interval, Now: now}, err
}

// Token returns the secret of a farmer. Farmers are counted from 0.
func Token(farmer int) node.Token {
	return node.Token(hashed("token", farmer)[:16])
}

// Fill makes the records in a database that has its tables and a heartbeat key, but
// no other rows. It calls progress with the number of written rows and the number
// of all rows. progress may be nil.
func Fill(ctx context.Context, db *sql.DB, size Size, terms Terms, progress func(done, total int)) error {
	var existing int
	if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM tokens").Scan(&existing); err != nil {
		return err
	}
	if existing > 0 {
		return fmt.Errorf("fill: the database already has %d farmers", existing)
	}
	farmers := newFarmers(size, terms)
	for i := range size.Contracts {
		c := terms.contract(size, i)
		farmers[c.farmer].add(c, terms)
	}
	done := 0
	written := func(rows int) {
		done += rows
		if progress != nil {
			progress(done, 2*size.Farmers+2*size.Contracts)
		}
	}
	for _, t := range []struct {
		name, columns string
		rows          int
		row           func(i int) []any
	}{
		{"addresses", "id, address, whitelisted, balance", size.Farmers, func(i int) []any {
			return []any{i + 1, farmers[i].address, true, 10_000}
		}},
		{"tokens", "id, hash, farmer_id, address_id, key_id, ip, country, state, city, zip, lat, lon, heartbeats, wrong," +
			" expired, contracts, size, up_since, up_start, up_end, up_before, last_due, created, changed", size.Farmers, func(i int) []any {
			return farmers[i].row(i, terms)
		}},
		{"files", "id, hash, seed, size, key_id, tag_size, redundancy", size.Contracts, func(i int) []any {
			return []any{i + 1, hashed("file", i), fmt.Sprint("scale ", i), terms.contract(size, i).size, terms.KeyID, 0, 1}
		}},
		{"contracts", "token_id, file_id, file_hash, key_id, size, period, version, sequence, challenge, state," +
			" due, answered, accepted, wrong, expiry, live", size.Contracts, func(i int) []any {
			return terms.contract(size, i).row(i, terms)
		}},
	} {
		if err := Insert(ctx, db, t.name, t.columns, t.rows, t.row, written); err != nil {
			return err
		}
	}
	return nil
}

// hashed returns 32 bytes that depend on a word and a number.
func hashed(word string, n int) []byte {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(word), uint64(n)))
	return sum[:]
}

const (
	statementRows   = 500
	transactionRows = 10_000
)

// Insert inserts n rows in order, in several transactions. row returns the values
// of the i-th row. After each statement, Insert calls written with the statement's
// number of rows. written may be nil.
func Insert(ctx context.Context, db *sql.DB, table, columns string, n int, row func(i int) []any, written func(rows int)) error {
	for from := 0; from < n; from += transactionRows {
		if err := insert(ctx, db, table, columns, from, min(n, from+transactionRows), row, written); err != nil {
			return fmt.Errorf("insert into %s: %w", table, err)
		}
	}
	return nil
}

func insert(ctx context.Context, db *sql.DB, table, columns string, from, to int, row func(i int) []any, written func(rows int)) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // has no effect after a commit
	values := "(?" + strings.Repeat(", ?", strings.Count(columns, ",")) + ")"
	for ; from < to; from += statementRows {
		var args []any
		end := min(to, from+statementRows)
		for i := from; i < end; i++ {
			args = append(args, row(i)...)
		}
		statement := "INSERT INTO " + table + " (" + columns + ") VALUES " + values + strings.Repeat(", "+values, end-from-1)
		if _, err := tx.ExecContext(ctx, statement, args...); err != nil {
			return err
		}
		if written != nil {
			written(end - from)
		}
	}
	return tx.Commit()
}
