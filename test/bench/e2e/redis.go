package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/test/bench/report"
)

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
