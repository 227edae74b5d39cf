package queue

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/internal/node"
)

// benchProof has the size of a Swizzle proof.
var benchProof = make([]byte, 1500)

func onBoth(b *testing.B, bench func(*testing.B, *Queue, int)) {
	for _, kind := range []struct {
		name  string
		start func(testing.TB) *server
	}{{"redis", startRedis}, {"miniredis", startMiniredis}} {
		for _, batch := range []int{1, 20, 200} {
			b.Run(fmt.Sprintf("%s/batch=%d", kind.name, batch), func(b *testing.B) {
				bench(b, kind.start(b).open(b), batch)
			})
		}
	}
}

// BenchmarkRoundTrip is a job's way through the queue, without what API and
// worker do with it: Enqueue, Read, Reply, Done and the reply's arrival.
func BenchmarkRoundTrip(b *testing.B) {
	onBoth(b, func(b *testing.B, q *Queue, batch int) {
		replies := listen(b, q)
		c := q.NewConsumer("a", ConsumerOptions{})
		jobs := make([]Job, batch)
		sends := make([]Reply, batch)
		arrivals := make([]<-chan Reply, batch)
		for b.Loop() {
			for i := range jobs {
				jobs[i] = aJob(replies.Address(), 1)
				jobs[i].Proofs[0].Proof = benchProof
				arrivals[i], _ = replies.Expect(jobs[i].ID)
			}
			must(b, q.Enqueue(b.Context(), jobs...))
			deliveries := read(b, c, batch)
			for i, d := range deliveries {
				sends[i] = Reply{To: d.Job.ReplyTo, Job: d.Job.ID, Outcomes: []node.Outcome{node.OK}}
			}
			must(b, q.Reply(b.Context(), sends...))
			must(b, c.Done(b.Context(), deliveries...))
			for _, arrival := range arrivals {
				receive(b, arrival)
			}
		}
		b.ReportMetric(float64(batch)*float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
	})
}

// BenchmarkBare is what Redis and its client ask for at least: the same bytes
// added and read, without a limit, a reply or an end.
func BenchmarkBare(b *testing.B) {
	onBoth(b, func(b *testing.B, q *Queue, batch int) {
		c := q.NewConsumer("a", ConsumerOptions{})
		must(b, c.makeGroup(b.Context()))
		job := aJob(NewID(), 1)
		job.Proofs[0].Proof = benchProof
		payload := appendJob(nil, &job)
		for b.Loop() {
			_, err := q.client.Pipelined(b.Context(), func(pipe redis.Pipeliner) error {
				for range batch {
					pipe.XAdd(b.Context(), &redis.XAddArgs{Stream: q.jobsKey(), Values: []any{jobField, payload}})
				}
				return nil
			})
			must(b, err)
			messages, err := c.readNew(b.Context(), batch)
			must(b, err)
			if len(messages) != batch {
				b.Fatalf("read %d", len(messages))
			}
		}
		b.ReportMetric(float64(batch)*float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
	})
}

// BenchmarkPut writes copies over older ones, of more contracts than caches of
// the processor hold, and says what Redis itself takes for one.
func BenchmarkPut(b *testing.B) {
	q := startRedis(b).open(b)
	contracts := make([]node.Contract, 50_000)
	for i := range contracts {
		c := &contracts[i]
		c.TokenID, c.FileHash = int64(i/1000), node.FileHash{byte(i), byte(i >> 8)}
		c.Challenge, c.State = make([]byte, 40), make([]byte, 200)
		c.Interval, c.Due = time.Hour, time.Now().Add(time.Hour)
	}
	put := func(batch []node.Contract) {
		for i := range batch {
			batch[i].Version++
		}
		must(b, q.States().Put(b.Context(), batch))
	}
	put(contracts)
	must(b, q.client.ConfigResetStat(b.Context()).Err())
	for i := 0; b.Loop(); i += stateBatch {
		at := i % len(contracts)
		put(contracts[at : at+stateBatch])
	}
	b.ReportMetric(serverMicroseconds(b, q, "evalsha")/float64(b.N*stateBatch), "redis-µs/copy")
	b.ReportMetric(float64(b.N*stateBatch)/b.Elapsed().Seconds(), "copies/s")
}

// serverMicroseconds is what Redis has spent on a command, by its own clock.
func serverMicroseconds(b *testing.B, q *Queue, command string) float64 {
	b.Helper()
	stats, err := q.client.Info(b.Context(), "commandstats").Result()
	must(b, err)
	_, rest, _ := strings.Cut(stats, "cmdstat_"+command+":")
	_, rest, _ = strings.Cut(rest, "usec=")
	text, _, _ := strings.Cut(rest, ",")
	spent, err := strconv.ParseFloat(text, 64)
	must(b, err)
	return spent
}
