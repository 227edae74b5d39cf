package main

import (
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/test/bench/report"
)

// These constants describe the bare UPDATE. The same MariaDB updates the same rows
// and does no other work. A transaction has as many rows as a request has proofs.
// Its statements look like the node's statements. Each statement updates updateRows
// rows, because this number was the fastest.
const (
	updateBatch = 1000
	updateRows  = 200
)

// measureUpdates updates a copy of the contracts over one connection and over
// several connections. It writes the columns that an accepted proof changes. It
// makes the statements before the measurement.
func measureUpdates(b *bench) []report.Figure {
	f := b.merkleFarm()
	f.node.exec(b, "DROP TABLE IF EXISTS bare")
	f.node.exec(b, "CREATE TABLE bare LIKE contracts")
	f.node.exec(b, "INSERT INTO bare SELECT * FROM contracts")
	round := int64(0)
	b.updates = nil
	for _, connections := range []int{1, 4} {
		b.updates = append(b.updates, b.figure(fmt.Sprintf("bare UPDATE, connections: %d", connections), "rows/s", func() float64 {
			round++
			return f.updateAll(connections, round)
		}))
	}
	f.node.exec(b, "DROP TABLE bare")
	return b.updates
}

// updateLimit returns the best rate of bare UPDATEs. If they were not measured yet,
// it measures them.
func (b *bench) updateLimit() report.Figure {
	if b.updates == nil {
		measureUpdates(b)
	}
	return slices.MaxFunc(b.updates, func(x, y report.Figure) int { return cmp.Compare(x.Median(), y.Median()) })
}

// updateAll updates every row once and returns the rows per second.
func (f *farm) updateAll(connections int, round int64) float64 {
	var batches [][]string
	for i := 0; i+updateBatch <= len(f.contracts); i += updateBatch {
		var batch []string
		for at := i; at < i+updateBatch; at += updateRows {
			batch = append(batch, f.updateStatement(at, at+updateRows, round))
		}
		batches = append(batches, batch)
	}
	start := time.Now()
	f.b.parallel(connections, connections, func(ctx context.Context, connection int) error {
		for i := connection; i < len(batches); i += connections {
			if err := f.commit(ctx, batches[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return float64(len(batches)*updateBatch) / time.Since(start).Seconds()
}

func (f *farm) commit(ctx context.Context, statements []string) error {
	tx, err := f.node.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // has no effect after a commit
	for _, statement := range statements {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// updateStatement marks a range of contracts as answered, each with its own digest.
func (f *farm) updateStatement(from, to int, round int64) string {
	var ids, digests strings.Builder
	for _, c := range f.contracts[from:to] {
		fmt.Fprintf(&ids, ",%d", c.ID)
		fmt.Fprintf(&digests, "%016x%016x", round, c.ID)
	}
	return fmt.Sprintf("UPDATE bare SET version = %d, answered = 1, accepted = SUBSTR(x'%s',INTERVAL(id%s)*16-15,16), wrong = '', expiry = %d, live = 1"+
		" WHERE id IN (%s)", round, digests.String(), ids.String(), time.Now().Add(2*interval).UnixMicro(), ids.String()[1:])
}

// measureRoundTrips adds entries to a stream and reads them with a consumer group.
// It uses as many connections as the requests with one proof. A round trip adds one
// entry and reads one entry. It verifies and stores nothing, and sends no reply.
func measureRoundTrips(b *bench, payload []byte) report.Figure {
	const stream, group = "bench", "bench"
	at := b.node.OpenRedis(b).Options()
	client := redis.NewClient(&redis.Options{Addr: at.Addr, DB: at.DB, PoolSize: singleConnections})
	defer client.Close()
	b.must(client.XGroupCreateMkStream(b.ctx, stream, group, "0").Err())
	each := b.scaled(singlesEach)
	figure := b.figure(fmt.Sprintf("bare XADD and XREADGROUP, %d connections", singleConnections), "round trips/s", func() float64 {
		defer client.XTrimMaxLen(b.ctx, stream, 0)
		start := time.Now()
		b.parallel(singleConnections, singleConnections, func(ctx context.Context, _ int) error {
			for range each {
				if err := client.XAdd(ctx, &redis.XAddArgs{Stream: stream, Values: []any{"job", payload}}).Err(); err != nil {
					return err
				}
				if err := client.XReadGroup(ctx, &redis.XReadGroupArgs{
					Group: group, Consumer: "bench", Streams: []string{stream, ">"}, Count: 1, NoAck: true,
				}).Err(); err != nil {
					return err
				}
			}
			return nil
		})
		return float64(each*singleConnections) / time.Since(start).Seconds()
	})
	b.must(client.Del(b.ctx, stream).Err())
	return figure
}

// measureMachine measures the two basic operations of every proof on one core, with
// Go's standard library.
func measureMachine(b *bench) []report.Figure {
	buf := make([]byte, 1<<20)
	block, err := aes.NewCipher(make([]byte, 32))
	b.must(err)
	stream := cipher.NewCTR(block, make([]byte, aes.BlockSize))
	return []report.Figure{
		b.speed("SHA-256, one lane", len(buf), func() { sha256.Sum256(buf) }),
		b.speed("AES-256-CTR", len(buf), func() { stream.XORKeyStream(buf, buf) }),
	}
}

// speed measures the megabytes per second of work, which processes size bytes.
func (b *bench) speed(name string, size int, work func()) report.Figure {
	return b.figure(name, "MB/s", func() float64 {
		bytes := 0
		start := time.Now()
		for time.Since(start) < time.Second {
			work()
			bytes += size
		}
		return float64(bytes) / 1e6 / time.Since(start).Seconds()
	})
}
