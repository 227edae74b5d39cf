package workers_test

import (
	"bytes"
	"context"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/filestream"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
	"github.com/driveshare/downstream-node/internal/app"
	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/queue"
	"github.com/driveshare/downstream-node/internal/store"
	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
	"github.com/driveshare/downstream-node/workers"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var (
	must    = testenv.Must
	waitFor = testenv.WaitFor
	start   = testnode.Start
)

const interval = testnode.Interval

// harness is a node with a farmer. It receives the workers' replies as an API
// replica does.
type harness struct {
	*testnode.Node
	key     *watchedKey
	replies *queue.Replies
	token   store.Token
}

// onEach runs a test with a node on each backend.
func onEach(t *testing.T, test func(t *testing.T, h *harness)) {
	t.Helper()
	testenv.OnEach(t, testnode.Backends, func(t *testing.T, backend string) {
		test(t, openHarness(t, backend, func(*app.Config) {}))
	})
}

func openHarness(t *testing.T, backend string, change func(*app.Config)) *harness {
	t.Helper()
	cfg := testnode.Config()
	change(&cfg)
	keys, err := keyring.Load([]string{"testdata/merkle.json"})
	must(t, err)
	h := &harness{key: &watchedKey{Heartbeat: keys[0]}}
	h.Node = testnode.Open(t, backend, cfg, []heartbeat.Heartbeat{h.key})
	h.replies = h.Queue.NewReplies()
	testnode.Background(t, h.replies.Run)
	token := node.Token{1}
	must(t, h.Store.CreateToken(t.Context(), store.NewToken{
		Hash: token.Hash(), Address: "address", IP: "192.0.2.1", KeyID: h.Keys.Current().ID,
	}, store.TokenLimits{}, start))
	h.token, err = h.Store.Token(t.Context(), token.Hash())
	must(t, err)
	return h
}

// watchedKey is a heartbeat key for tests. A test can observe its calls, block
// them, or make them fail.
type watchedKey struct {
	heartbeat.Heartbeat
	verifying atomic.Pointer[func(proof []byte)]
	encoding  atomic.Pointer[func(context.Context) error]
}

func (k *watchedKey) Verify(state, challenge, proof []byte) (bool, error) {
	if look := k.verifying.Load(); look != nil {
		(*look)(proof)
	}
	return k.Heartbeat.Verify(state, challenge, proof)
}

func (k *watchedKey) Encode(ctx context.Context, file io.ReaderAt, size int64, tag io.Writer, opt heartbeat.EncodeOptions) ([]byte, error) {
	if look := k.encoding.Load(); look != nil {
		if err := (*look)(ctx); err != nil {
			return nil, err
		}
	}
	return k.Heartbeat.Encode(ctx, file, size, tag, opt)
}

// deps returns the node's dependencies with a new metrics registry.
func (h *harness) deps() workers.Deps {
	deps := h.WorkerDeps()
	deps.Registry = prometheus.NewRegistry()
	return deps
}

func usual() workers.Config {
	return workers.Config{
		Concurrency: 2, CommitBatch: 200, CommitDelay: time.Millisecond, JobHardLimit: 10 * time.Second,
		ClaimIdle: time.Minute, MaxDeliveries: 5, DrainTimeout: 10 * time.Second,
	}
}

const wrongAnswers = 3

// verify runs a verifier until the test ends or end is called.
func (h *harness) verify(t *testing.T, name string, cfg workers.Config) (end func()) {
	t.Helper()
	return testnode.Background(t, func(ctx context.Context) {
		if err := workers.NewVerifier(h.deps(), name, cfg, wrongAnswers).Run(ctx); err != nil {
			t.Error(err)
		}
	})
}

// contract holds a contract of the farmer, and a valid proof for the contract.
type contract struct {
	hash  node.FileHash
	proof []byte
}

func (h *harness) takeOne(t *testing.T, seed string) contract {
	t.Helper()
	const size = 100
	key := h.Keys.Current()
	var tag bytes.Buffer
	file := filestream.New(seed, size)
	state, err := key.Encode(t.Context(), file, size, &tag, heartbeat.EncodeOptions{Challenges: 4})
	must(t, err)
	challenge, state, err := key.Challenge(state)
	must(t, err)
	hash, err := filestream.Hash(t.Context(), seed, size)
	must(t, err)
	must(t, h.Store.Stock(t.Context(), 0, store.NewChunk{
		Seed: seed, Hash: hash, Size: size, KeyID: key.ID, Challenge: challenge, State: state, Tag: bytes.NewReader(tag.Bytes()),
	}, h.Now()))
	handed, err := h.Store.HandOut(t.Context(), h.token, size, store.HandOutLimits{Contracts: 1}, interval, h.Now())
	must(t, err)
	return h.proveHanded(t, handed[0])
}

// proveHanded computes the proof for a contract from the tag in the store.
func (h *harness) proveHanded(t *testing.T, c store.HandedOut) contract {
	t.Helper()
	stored, err := h.Store.Tags(t.Context(), []store.HandedOut{c}).Next()
	must(t, err)
	tag, err := io.ReadAll(stored)
	must(t, err)
	key := h.Keys.Current()
	prover, err := schemes.ParsePublic(key.Type(), key.Public())
	must(t, err)
	proof, err := prover.Prove(t.Context(), filestream.New(c.Seed, c.Size), c.Size, tag, c.Challenge)
	must(t, err)
	return contract{c.FileHash, proof}
}

// waiting is a job that waits for its reply.
type waiting struct {
	job   queue.Job
	reply <-chan queue.Reply
}

// submit enqueues the proofs of contracts as one job.
func (h *harness) submit(t *testing.T, answers ...contract) waiting {
	t.Helper()
	return h.enqueue(t, h.jobOf(answers...))
}

// jobOf returns a job with the proofs of contracts.
func (h *harness) jobOf(answers ...contract) queue.Job {
	now := h.Now()
	job := queue.Job{
		ID: queue.NewID(), ReplyTo: h.replies.Address(), KeyID: h.token.KeyID, TokenID: h.token.ID,
		Received: now, Deadline: now.Add(20 * time.Second),
	}
	for _, c := range answers {
		job.Proofs = append(job.Proofs, queue.Proof{FileHash: c.hash, Proof: c.proof})
	}
	return job
}

func (h *harness) enqueue(t *testing.T, job queue.Job) waiting {
	t.Helper()
	reply, cancel := h.replies.Expect(job.ID)
	t.Cleanup(cancel)
	must(t, h.Queue.Enqueue(t.Context(), job))
	return waiting{job, reply}
}

// want waits for the reply and compares the outcomes.
func (w waiting) want(t *testing.T, outcomes ...node.Outcome) {
	t.Helper()
	select {
	case reply := <-w.reply:
		if len(reply.Outcomes) != len(outcomes) {
			t.Fatalf("%v, want %v", reply.Outcomes, outcomes)
		}
		for i, want := range outcomes {
			if reply.Outcomes[i] != want {
				t.Errorf("outcome %d is %v, want %v", i, reply.Outcomes[i], want)
			}
		}
	case <-time.After(testenv.Patience):
		t.Fatal("no reply")
	}
}

// heartbeats returns how many heartbeats count for the farmer.
func (h *harness) heartbeats(t *testing.T) int64 {
	t.Helper()
	f, err := h.Store.Farmer(t.Context(), h.token.FarmerID, h.Now())
	must(t, err)
	return f.Heartbeats
}

func (h *harness) stats(t *testing.T) queue.Stats {
	t.Helper()
	stats, err := h.Queue.Stats(t.Context())
	must(t, err)
	return stats
}

// empty waits until the queue contains no job.
func (h *harness) empty(t *testing.T) {
	t.Helper()
	waitFor(t, "an empty queue", func() bool { return h.stats(t).Length == 0 })
}
