// Package scale makes a node's records of any size, to measure and to try the
// node on: farmers spread over a world of places, contracts spread unevenly
// over the farmers and over an interval, some of them over and some just
// expired. The same size and seed make the same records.
//
// Every contract has the same challenge and state, of a real file: the node
// can issue challenges on them. They have no tags, as contracts that were
// answered once have none.
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

// Size is how many of each to make.
type Size struct {
	Farmers   int
	Contracts int
	Largest   int // of the contracts, those of the first farmer
}

// The sizes that figures are given for.
var (
	Small  = Size{Farmers: 1_000, Contracts: 10_000, Largest: 1_000}
	Medium = Size{Farmers: 10_000, Contracts: 100_000, Largest: 10_000}
	Large  = Size{Farmers: 100_000, Contracts: 1_000_000, Largest: 10_000}
)

// Terms are what the contracts have in common.
type Terms struct {
	KeyID            int64 // of the heartbeat key, as the store has registered it
	Challenge, State []byte
	Interval         time.Duration
	Now              time.Time // when the records are to be looked at
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

// Token is the secret of a farmer, counted from 0.
func Token(farmer int) node.Token {
	return node.Token(hashed("token", farmer)[:16])
}

// Fill makes the records in a database that has its tables, a heartbeat key,
// and nothing else. It tells progress, which may be nil, how many rows of how
// many are written, now and then.
func Fill(ctx context.Context, db *sql.DB, size Size, terms Terms, progress func(done, total int)) error {
	if progress == nil {
		progress = func(int, int) {}
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	var there int
	if err := conn.QueryRowContext(ctx, "SELECT COUNT(*) FROM tokens").Scan(&there); err != nil {
		return err
	}
	if there > 0 {
		return fmt.Errorf("fill: the database has %d farmers already", there)
	}
	f := &filling{conn: conn, progress: progress, total: 2*size.Farmers + 2*size.Contracts}
	farmers := newFarmers(size, terms)
	for i := range size.Contracts {
		c := terms.contract(size, i)
		farmers[c.farmer].takeOn(c, terms)
	}
	return f.tables(ctx, size, terms, farmers)
}

func (f *filling) tables(ctx context.Context, size Size, terms Terms, farmers []farmer) error {
	err := f.insert(ctx, "addresses", "id, address, whitelisted, balance", size.Farmers, func(i int) []any {
		return []any{i + 1, farmers[i].address, true, 10_000}
	})
	if err != nil {
		return err
	}
	err = f.insert(ctx, "tokens", "id, hash, farmer_id, address_id, key_id, ip, country, state, city, zip, lat, lon, heartbeats, wrong,"+
		" expired, contracts, size, up_since, up_start, up_end, up_before, last_due, created, changed", size.Farmers, func(i int) []any {
		return farmers[i].row(i, terms)
	})
	if err != nil {
		return err
	}
	err = f.insert(ctx, "files", "id, hash, seed, size, key_id, tag_size, redundancy", size.Contracts, func(i int) []any {
		c := terms.contract(size, i)
		return []any{i + 1, hashed("file", i), fmt.Sprint("scale ", i), c.size, terms.KeyID, 0, 1}
	})
	if err != nil {
		return err
	}
	return f.insert(ctx, "contracts", "token_id, file_id, file_hash, key_id, size, period, version, sequence, challenge, state,"+
		" due, answered, accepted, wrong, expiry, live", size.Contracts, func(i int) []any {
		return terms.contract(size, i).row(i, terms)
	})
}

// hashed is 32 bytes that follow from a word and a number.
func hashed(word string, n int) []byte {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(word), uint64(n)))
	return sum[:]
}

const (
	batchRows       = 500 // of one statement
	transactionRows = 10_000
)

// filling writes rows.
type filling struct {
	conn        *sql.Conn
	done, total int
	progress    func(done, total int)
}

// insert inserts n rows, in order.
func (f *filling) insert(ctx context.Context, table, columns string, n int, row func(i int) []any) error {
	for from := 0; from < n; from += transactionRows {
		if err := f.transaction(ctx, table, columns, from, min(n, from+transactionRows), row); err != nil {
			return fmt.Errorf("fill %s: %w", table, err)
		}
	}
	return nil
}

func (f *filling) transaction(ctx context.Context, table, columns string, from, to int, row func(i int) []any) error {
	tx, err := f.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	values := "(?" + strings.Repeat(", ?", strings.Count(columns, ",")) + ")"
	for ; from < to; from += batchRows {
		var args []any
		end := min(to, from+batchRows)
		for i := from; i < end; i++ {
			args = append(args, row(i)...)
		}
		statement := "INSERT INTO " + table + " (" + columns + ") VALUES " + values + strings.Repeat(", "+values, end-from-1)
		if _, err := tx.ExecContext(ctx, statement, args...); err != nil {
			return err
		}
		f.done += end - from
		f.progress(f.done, f.total)
	}
	return tx.Commit()
}
