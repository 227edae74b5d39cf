package queue

import (
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/redisdb/redistest"
)

// benchProof is as long as a Swizzle proof.
var benchProof = make([]byte, 1500)

func onBoth(b *testing.B, bench func(*testing.B, *Queue, int)) {
	for _, kind := range []redistest.Kind{{Name: "redis", Start: redistest.Shared}, {Name: "miniredis", Start: redistest.Miniredis}} {
		for _, batch := range []int{1, 20, 200} {
			b.Run(fmt.Sprintf("%s/batch=%d", kind.Name, batch), func(b *testing.B) {
				bench(b, open(b, kind.Start(b)), batch)
			})
		}
	}
}

// BenchmarkRoundTrip measures a job's path through the queue without the API
// and the worker: Enqueue, Read, Reply, Done and the arrival of the reply.
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

// BenchmarkBare measures Redis and its client alone. The queue cannot be faster. The
// benchmark adds and reads the same bytes without a limit, a reply or an
// acknowledgement.
func BenchmarkBare(b *testing.B) {
	onBoth(b, func(b *testing.B, q *Queue, batch int) {
		c := q.NewConsumer("a", ConsumerOptions{})
		must(b, c.createGroup(b.Context()))
		job := aJob(NewID(), 1)
		job.Proofs[0].Proof = benchProof
		payload := appendJob(nil, &job)
		for b.Loop() {
			_, err := q.db.Client.Pipelined(b.Context(), func(pipe redis.Pipeliner) error {
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
