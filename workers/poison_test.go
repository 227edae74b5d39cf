package workers_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/queue"
	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
)

var poison = []byte("poison")

// One of many jobs makes the verifier panic. That job must become a dead letter,
// and the other jobs must be judged.
func TestPoisonJobBecomesADeadLetterAndTheOthersAreJudged(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		choke := func(proof []byte) {
			if bytes.Equal(proof, poison) {
				panic("poisoned proof")
			}
		}
		h.key.verifying.Store(&choke)
		h.verify(t, "worker", usual())
		bad := h.takeOne(t, "bad")
		bad.proof = poison
		var good []waiting
		for i := range 20 {
			good = append(good, h.submit(t, h.takeOne(t, fmt.Sprint("good ", i))))
			if i == 10 {
				h.submit(t, bad).want(t, node.Undecided)
			}
		}
		for _, w := range good {
			w.want(t, node.OK)
		}
		h.empty(t)
		if stats := h.stats(t); stats.DeadLetters != 1 || stats.Dead != 1 {
			t.Errorf("%d dead letters, %d counted; want one", stats.DeadLetters, stats.Dead)
		}
		record := h.contractNow(t, bad.hash)
		if record.Version != 0 {
			t.Errorf("poison changed the contract: %+v", record)
		}
	})
}

// A job kills every worker that reads the job. After the last delivery, the job
// must become a dead letter.
func TestJobThatKillsWorkersBecomesADeadLetter(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		cfg := claiming()
		cfg.MaxDeliveries = 2
		w := h.submit(t, h.takeOne(t, "seed"))
		h.readJobs(t, 1)
		second := h.Queue.NewConsumer("dies too", queue.ConsumerOptions{MinIdle: time.Millisecond})
		waitFor(t, "the second delivery", func() bool {
			taken, err := second.Reclaim(t.Context(), 1)
			must(t, err)
			return len(taken) == 1
		})
		h.verify(t, "survivor", cfg)
		w.want(t, node.Undecided)
		h.empty(t)
		if stats := h.stats(t); stats.DeadLetters != 1 {
			t.Errorf("%d dead letters, want 1", stats.DeadLetters)
		}
	})
}

// An entry of the stream cannot be parsed. The entry must become a dead letter.
func TestUndecodableJobBecomesADeadLetter(t *testing.T) {
	t.Parallel()
	url := testenv.NewRedis(t)
	h := openHarness(t, testnode.Embedded, func(c *app.Config) { c.Redis.Server.URL = config.Secret(url) })
	opt, err := redis.ParseURL(url)
	must(t, err)
	client := redis.NewClient(opt)
	defer client.Close()
	for _, garbage := range []string{"", "garbage", "\x01", "\xff\x01\x02"} {
		must(t, client.XAdd(t.Context(), &redis.XAddArgs{Stream: "{test}:jobs", Values: []string{"job", garbage}}).Err())
	}
	w := h.submit(t, h.takeOne(t, "seed"))
	h.verify(t, "worker", usual())
	w.want(t, node.OK)
	h.empty(t)
	if stats := h.stats(t); stats.DeadLetters != 4 {
		t.Errorf("%d dead letters, want 4", stats.DeadLetters)
	}
}

// The row of a contract is malformed, or the worker does not have the contract's
// heartbeat key. The farmer is not at fault in either case, so the worker must
// reach no verdict. If only the copy names a key that the worker lacks, it may be older than
// the replacement of its key, so the worker reads the row.
func TestFaultOfTheNodeIsNoVerdict(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		h.verify(t, "worker", usual())
		good, broken, foreign, stale := h.takeOne(t, "good"), h.takeOne(t, "broken"), h.takeOne(t, "foreign"), h.takeOne(t, "stale")
		for _, spoil := range []struct {
			contract
			how func(*node.Contract)
		}{
			{broken, func(c *node.Contract) { c.State = []byte("broken") }},
			{stale, func(c *node.Contract) { c.KeyID = 1000 }},
		} {
			record := h.contractNow(t, spoil.hash)
			spoil.how(&record)
			must(t, h.Redis.Contracts().Put(t.Context(), []node.Contract{record}))
		}
		_, err := h.DB(t).Exec("UPDATE contracts SET key_id = 1000 WHERE id = ?", h.contractNow(t, foreign.hash).ID)
		must(t, err)
		must(t, h.Redis.Contracts().Forget(t.Context(), h.named(foreign.hash)))
		h.submit(t, broken, good, foreign, stale).want(t, node.Undecided, node.OK, node.Undecided, node.OK)
	})
}
