//go:build faults

package faults

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/test/deployment"
	"github.com/driveshare/downstream-node/test/ledger"
)

// A worker cannot judge a job. After the cause is repaired, an operator retries the
// dead letter. The proof is judged as of its arrival, although its contract's due time
// has passed, and the farmer gets the verdict when it repeats its request.
func TestDeadLetterIsRetried(t *testing.T) {
	t.Parallel()
	n := start(t, nil, "10")
	api := n.API(t, nil)
	var told ledger.Ledger
	l, c := alone(t, api, 1, 4*time.Second, &told)
	broken := n.Worker(t, nil, "DOWNSTREAM_FAULT_POINT=read:1:panic")
	if err := c.answer(); err == nil {
		t.Fatal("the request got a verdict although its job is a dead letter")
	}
	broken.Terminate(t)
	queue := n.OpenRedis(t)
	checkDeadLetters(t, queue, "panic: fault point read")
	list := string(n.Run(t, nil, "queue", "dead", "list"))
	lines := strings.Split(strings.TrimSpace(list), "\n")
	if len(lines) != 2 || !strings.Contains(lines[1], "panic: fault point read") || len(strings.Fields(lines[1])) < 5 {
		t.Fatalf("queue dead list:\n%s", list)
	}

	id := strings.Fields(lines[1])[0]
	// The list has only the first line of the panic; show has its stack too.
	if shown := string(n.Run(t, nil, "queue", "dead", "show", id)); !strings.Contains(shown, id) || !strings.Contains(shown, " bytes") || !strings.Contains(shown, "goroutine ") {
		t.Errorf("queue dead show:\n%s", shown)
	}

	time.Sleep(time.Until(c.contracts[0].due.Add(2 * time.Second)))
	n.Worker(t, nil)
	if out := string(n.Run(t, nil, "queue", "dead", "retry", id)); !strings.Contains(out, "put back 1 job") {
		t.Errorf("queue dead retry: %s", out)
	}
	eventually(t, "the verdict is recorded", func() bool { return n.Records(t).Tokens[c.id].Heartbeats == 1 })
	if err := c.answer(); err != nil || !c.contracts[0].answered {
		t.Errorf("the farmer's retry: %v, accepted %t", err, c.contracts[0].answered)
	}
	checkDeadLetters(t, queue)
	audit(t, n, l, &told)

	err := queue.XAdd(t.Context(), &redis.XAddArgs{Stream: deployment.Jobs, Values: []string{"job", "nobody can read this"}}).Err()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a dead letter", func() bool { return queue.XLen(t.Context(), deployment.DeadLetters).Val() == 1 })
	if out := string(n.Run(t, nil, "queue", "dead", "drop", "--all")); !strings.Contains(out, "deleted 1 dead letter") {
		t.Errorf("queue dead drop: %s", out)
	}
	checkDeadLetters(t, queue)
	t.Log("dead letters retried 1, judged 1, dropped 1, left 0")
}
