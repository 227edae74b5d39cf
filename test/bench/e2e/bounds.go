package main

import (
	"cmp"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/test/bench/report"
)

// The bare UPDATE: what the same MariaDB does with the same rows where it has
// nothing else to do. As many rows in a transaction as a request has proofs,
// in statements of the node's form and of updateRows, which is where they were
// fastest.
const (
	updateBatch = 1000
	updateRows  = 200
)

// measureUpdates updates a copy of the contracts over one connection and over
// several. It writes the columns that an accepted answer writes; the
// statements are ready before the clock starts.
func measureUpdates(b *bench) []report.Figure {
	f := b.merkleField()
	db := f.node.db
	for _, statement := range []string{
		"DROP TABLE IF EXISTS bare",
		"CREATE TABLE bare LIKE contracts",
		"INSERT INTO bare SELECT * FROM contracts",
	} {
		if _, err := db.ExecContext(b.ctx, statement); err != nil {
			b.Fatal(err)
		}
	}
	round := int64(0)
	measure := func(connections int) report.Figure {
		name := fmt.Sprintf("bare UPDATE, connections: %d", connections)
		return report.New(name, "rows/s", b.repeat(name, func() float64 {
			round++
			return f.updateAll(connections, round)
		})...)
	}
	b.updates = []report.Figure{measure(1), measure(4)}
	if _, err := db.ExecContext(b.ctx, "DROP TABLE bare"); err != nil {
		b.Fatal(err)
	}
	return b.updates
}

// updateLimit is the best of them, measured where that is not done yet.
func (b *bench) updateLimit() report.Figure {
	if b.updates == nil {
		measureUpdates(b)
	}
	return slices.MaxFunc(b.updates, func(x, y report.Figure) int { return cmp.Compare(x.Median(), y.Median()) })
}

// updateAll updates every row once and gives the rows a second.
func (f *field) updateAll(connections int, round int64) float64 {
	batches := make([][][]string, connections) // by connection
	for i := 0; i+updateBatch <= len(f.contracts); i += updateBatch {
		var batch []string
		for at := i; at < i+updateBatch; at += updateRows {
			batch = append(batch, f.updateStatement(at, at+updateRows, round))
		}
		own := i / updateBatch % connections
		batches[own] = append(batches[own], batch)
	}
	errs := make([]error, connections)
	var working sync.WaitGroup
	start := time.Now()
	for i, own := range batches {
		working.Go(func() { errs[i] = f.update(own) })
	}
	working.Wait()
	took := time.Since(start)
	for _, err := range errs {
		if err != nil {
			f.b.Fatal(err)
		}
	}
	return float64(len(f.contracts)/updateBatch*updateBatch) / took.Seconds()
}

// update commits batch after batch.
func (f *field) update(batches [][]string) error {
	for _, batch := range batches {
		tx, err := f.node.db.BeginTx(f.b.ctx, &sql.TxOptions{})
		if err != nil {
			return err
		}
		for _, statement := range batch {
			if _, err := tx.ExecContext(f.b.ctx, statement); err != nil {
				tx.Rollback()
				return err
			}
		}
		if err := tx.Commit(); err != nil {
			return err
		}
	}
	return nil
}

// updateStatement answers the contracts from one to another, each with a
// digest of its own.
func (f *field) updateStatement(from, to int, round int64) string {
	var ids, digests strings.Builder
	for i := from; i < to; i++ {
		id := f.contracts[i].ID
		fmt.Fprintf(&ids, ",%d", id)
		fmt.Fprintf(&digests, "%016x%016x", round, id)
	}
	return fmt.Sprintf("UPDATE bare SET version = %d, answered = 1, accepted = SUBSTR(x'%s',INTERVAL(id%s)*16-15,16), wrong = '', expiry = %d, live = 1"+
		" WHERE id IN (%s)", round, digests.String(), ids.String(), time.Now().Add(2*interval).UnixMicro(), ids.String()[1:])
}

// measureRoundTrips adds entries to a stream and reads them from a group, as
// many connections at once as the requests with one proof come over: an entry
// added and one read is a round trip. Nothing is judged, stored or replied.
func measureRoundTrips(b *bench, payload []byte) report.Figure {
	const stream, group = "bench", "bench"
	at := b.node.OpenRedis(b).Options()
	client := redis.NewClient(&redis.Options{Addr: at.Addr, DB: at.DB, PoolSize: singleConnections})
	defer client.Close()
	if err := client.XGroupCreateMkStream(b.ctx, stream, group, "0").Err(); err != nil {
		b.Fatal(err)
	}
	name := fmt.Sprintf("bare XADD and XREADGROUP, %d connections", singleConnections)
	roundTrip := func() error {
		add := client.XAdd(b.ctx, &redis.XAddArgs{Stream: stream, Values: []any{"job", payload}})
		if err := add.Err(); err != nil {
			return err
		}
		return client.XReadGroup(b.ctx, &redis.XReadGroupArgs{
			Group: group, Consumer: "bench", Streams: []string{stream, ">"}, Count: 1, NoAck: true,
		}).Err()
	}
	samples := b.repeat(name, func() float64 {
		defer client.XTrimMaxLen(b.ctx, stream, 0)
		each := b.scaled(singlesEach)
		errs := make([]error, singleConnections)
		var working sync.WaitGroup
		start := time.Now()
		for i := range errs {
			working.Go(func() {
				for n := 0; n < each && errs[i] == nil; n++ {
					errs[i] = roundTrip()
				}
			})
		}
		working.Wait()
		took := time.Since(start)
		for _, err := range errs {
			if err != nil {
				b.Fatal(err)
			}
		}
		return float64(each*singleConnections) / took.Seconds()
	})
	if err := client.Del(b.ctx, stream).Err(); err != nil {
		b.Fatal(err)
	}
	return report.New(name, "round trips/s", samples...)
}
