//go:build faults

package faults

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/test/deployment"
	"github.com/driveshare/downstream-node/test/ledger"
)

// Among thousands of jobs, one job cannot be decoded and one job makes the worker
// panic. Both must become dead letters, and the other jobs must be judged.
func TestPoisonAmongThousands(t *testing.T) {
	n := start(t, nil, "500")
	apis := twoAPIs(t, n)
	worker := n.Worker(t, nil, "DOWNSTREAM_FAULT_POINT=read:1000:panic")
	queue := n.OpenRedis(t)
	var told ledger.Ledger
	l := startLoad(t, loadOptions{
		URLs: urls(apis), Farmers: 8, Contracts: 100, Size: chunkSize,
		Batch:  1, // one job for each proof
		Ledger: &told,
	})
	l.await(t, 500)
	err := queue.XAdd(t.Context(), &redis.XAddArgs{
		Stream: deployment.Jobs, Values: []string{"job", "nobody can read this"},
	}).Err()
	if err != nil {
		t.Fatal(err)
	}
	l.await(t, 1500)
	tally := audit(t, n, l, &told)
	if tally.Unavailable != 1 {
		t.Errorf("%d requests got a 503; want one, for the dead letter", tally.Unavailable)
	}
	if !worker.Running() {
		t.Error("the panic ended the worker")
	}
	checkDeadLetters(t, queue, "malformed", "panic: fault point read")
}

// A job kills every worker that reads it. It must become a dead letter after too
// many deliveries.
func TestJobThatKillsWorkers(t *testing.T) {
	t.Parallel()
	n := start(t, deployment.Settings{"worker.maxDeliveries": "2", "api.answerTimeout": "20s"}, "10")
	apis := twoAPIs(t, n)
	killed := n.Worker(t, nil, "DOWNSTREAM_FAULT_POINT=read:1:kill")
	var told ledger.Ledger
	l := startLoad(t, loadOptions{
		URLs: urls(apis), Farmers: 1, Contracts: 1, Size: chunkSize, Batch: 1, Ledger: &told,
	})
	<-killed.Exited()
	again := n.Worker(t, nil, "DOWNSTREAM_FAULT_POINT=read:1:kill")
	<-again.Exited()
	n.Worker(t, nil)
	l.await(t, 1)
	audit(t, n, l, &told)
	checkDeadLetters(t, n.OpenRedis(t), "delivered 3 times")
}

// checkDeadLetters compares the beginnings of the dead letters' reasons, in order.
func checkDeadLetters(t *testing.T, queue *redis.Client, reasons ...string) {
	t.Helper()
	dead, err := queue.XRange(t.Context(), deployment.DeadLetters, "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	if len(dead) != len(reasons) {
		t.Fatalf("%d dead letters, want %d", len(dead), len(reasons))
	}
	for i, letter := range dead {
		if reason, _ := letter.Values["reason"].(string); !strings.Contains(reason, reasons[i]) {
			t.Errorf("dead letter %d: %.100q, want %q", i, reason, reasons[i])
		}
	}
}
