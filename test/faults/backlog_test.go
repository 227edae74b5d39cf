//go:build faults

package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/internal/farmer"
	"github.com/driveshare/downstream-node/test/deployment"
	"github.com/driveshare/downstream-node/test/ledger"
)

// No worker reads a job before the job's deadline has passed. Then no worker may
// judge the job, and its proof must not be recorded as wrong.
func TestDeadlinePassed(t *testing.T) {
	t.Parallel()
	n := start(t, deployment.Settings{"api.answerTimeout": "500ms"}, "200")
	apis := twoAPIs(t, n)
	var told ledger.Ledger
	l := begin(t, apis, &told)
	eventually(t, "jobs are late", func() bool { return l.tally().Unavailable >= 24 })
	n.Worker(t, nil)
	l.await(t, 300)
	audit(t, n, l, &told) // some proofs are wrong; the records must not have more wrong proofs than the ledger
	late, err := n.OpenRedis(t).HGet(t.Context(), deployment.Counters, "late").Int()
	if err != nil || late == 0 {
		t.Errorf("%d jobs counted as late, %v", late, err)
	}
}

// The queue is full. Farmers must get a 503, and neither the queue nor the memory
// of the API may grow.
func TestQueueFull(t *testing.T) {
	t.Parallel()
	const room = 20
	n := start(t, deployment.Settings{
		"redis.maxQueue":        fmt.Sprint(room),
		"api.answerTimeout":     "1s",
		"contracts.interval":    "30s",
		"contracts.tokensPerIP": "1000",
	}, "200")
	apis := twoAPIs(t, n)
	var told ledger.Ledger
	l := begin(t, apis, &told)
	queue := n.OpenRedis(t)
	eventually(t, "the queue is full", func() bool { return length(t, queue) == room })

	flood(t, apis[0].URL, func() {
		if jobs := length(t, queue); jobs > room {
			t.Errorf("%d jobs in a queue for %d", jobs, room)
		}
	})
	const enough = 256 << 20
	if peak := apis[0].PeakMemory(t); peak > enough {
		t.Errorf("the API took %d MiB of memory", peak>>20)
	} else {
		t.Logf("peak memory of the API: %d MiB", peak>>20)
	}
	n.Worker(t, nil)
	l.await(t, 150)
	if tally := audit(t, n, l, &told); tally.Unavailable == 0 {
		t.Error("no request was answered 503")
	}
}

func length(t *testing.T, queue *redis.Client) int64 {
	t.Helper()
	jobs, err := queue.XLen(t.Context(), deployment.Jobs).Result()
	if err != nil {
		t.Fatal(err)
	}
	return jobs
}

// flood posts large batches from many farmers at the same time for a few seconds.
// The node must refuse each batch. flood calls look from time to time.
func flood(t *testing.T, url string, look func()) {
	t.Helper()
	const (
		farmers = 16
		proofs  = 5000
		length  = 3 * time.Second
	)
	client, err := farmer.NewClient(url, farmer.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	batch := make([]farmer.Proof, proofs)
	for i := range batch {
		batch[i] = farmer.Proof{FileHash: fmt.Sprintf("%064x", i), Proof: json.RawMessage(`"` + strings.Repeat("A", 400) + `"`)}
	}
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var posting sync.WaitGroup
	for range farmers {
		told, err := client.NewToken(t.Context(), "19qVgG8C6eXwKMMyvVegsi3xCsKyk3Z3jV", nil)
		if err != nil {
			t.Fatal(err)
		}
		posting.Go(func() {
			for ctx.Err() == nil {
				_, err := client.Answers(t.Context(), told.Token, batch)
				refused, ok := errors.AsType[*farmer.Error](err)
				if !ok || refused.Status != http.StatusServiceUnavailable || refused.RetryAfter == 0 {
					t.Errorf("full queue: %v, want 503 with Retry-After", err)
					return
				}
			}
		})
	}
	for ctx.Err() == nil {
		look()
		time.Sleep(20 * time.Millisecond)
	}
	posting.Wait()
}
