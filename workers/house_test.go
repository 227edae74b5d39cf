package workers_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/filestream"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/queue"
	"github.com/driveshare/downstream-node/internal/redisdb"
	"github.com/driveshare/downstream-node/internal/store"
	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/workers"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 678_901_000, time.UTC)

const interval = 300 * time.Second

// house is the rooms of a node, for workers to move into, and the place of an
// API replica that waits for their replies.
type house struct {
	*clock
	store   *store.Store
	redis   *redisdb.DB
	queue   *queue.Queue
	keys    *keyring.Ring
	key     *watchedKey
	replies *queue.Replies
	token   store.Token
}

// onEach runs a test in a house with SQLite and an embedded Redis, and in one
// with MariaDB and Redis.
func onEach(t *testing.T, test func(t *testing.T, h *house)) {
	t.Helper()
	t.Parallel()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		test(t, openHouse(t, store.Options{Driver: store.SQLite, Path: filepath.Join(t.TempDir(), "node.db")}, ""))
	})
	t.Run("servers", func(t *testing.T) {
		t.Parallel()
		test(t, openHouse(t, store.Options{Driver: store.MySQL, DSN: testenv.NewDatabase(t)}, testenv.NewRedis(t)))
	})
}

func openHouse(t *testing.T, opt store.Options, redisURL string) *house {
	t.Helper()
	h := &house{clock: &clock{now: start}}
	var err error
	opt.Logger = slog.New(slog.DiscardHandler)
	h.store, err = store.Open(t.Context(), opt)
	must(t, err)
	t.Cleanup(func() { h.store.Close() })
	must(t, h.store.Migrate(t.Context()))

	open := redisdb.Open
	if redisURL == "" {
		open = redisdb.Embedded
	}
	h.redis, err = open(redisdb.Options{URL: redisURL, Namespace: "test", Now: h.Now})
	must(t, err)
	t.Cleanup(func() { h.redis.Close() })
	h.queue = queue.New(h.redis, queue.Options{Log: opt.Logger})

	keys, err := keyring.Load([]string{"testdata/merkle.json"})
	must(t, err)
	h.key = &watchedKey{Heartbeat: keys[0]}
	h.keys, err = keyring.New(t.Context(), h.store, []heartbeat.Heartbeat{h.key}, start)
	must(t, err)

	h.replies = h.queue.NewReplies()
	h.background(t, func(ctx context.Context) { h.replies.Run(ctx) })
	token := node.Token{1}
	must(t, h.store.CreateToken(t.Context(), store.NewToken{
		Hash: token.Hash(), Address: "address", IP: "192.0.2.1", KeyID: h.keys.Current().ID,
	}, store.TokenLimits{}, start))
	h.token, err = h.store.Token(t.Context(), token.Hash())
	must(t, err)
	return h
}

// watchedKey is a key whose work a test can look at, hold up, or make fail.
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

// background runs until the test ends, or end is called.
func (h *house) background(t *testing.T, run func(context.Context)) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { run(ctx) })
	end = func() { cancel(); running.Wait() }
	t.Cleanup(end)
	return end
}

func (h *house) rooms() workers.Deps {
	return workers.Deps{
		Store: h.store, Redis: h.redis, Queue: h.queue, Keys: h.keys, Log: slog.New(slog.DiscardHandler),
		Registry: prometheus.NewRegistry(), Now: h.Now,
	}
}

func usual(name string) workers.VerifierOptions {
	return workers.VerifierOptions{
		Name: name, Concurrency: 2, CommitBatch: 200, CommitDelay: time.Millisecond, JobHardLimit: 10 * time.Second,
		ClaimIdle: time.Minute, MaxDeliveries: 5, DrainTimeout: 10 * time.Second, WrongAnswers: 3,
	}
}

// verify runs a verifier.
func (h *house) verify(t *testing.T, opt workers.VerifierOptions) (end func()) {
	t.Helper()
	return h.background(t, func(ctx context.Context) {
		if err := workers.NewVerifier(h.rooms(), opt).Run(ctx); err != nil {
			t.Error(err)
		}
	})
}

// contract is one that the farmer has, and its right proof.
type contract struct {
	hash  node.FileHash
	proof []byte
}

func (h *house) takeOne(t *testing.T, seed string) contract {
	t.Helper()
	const size = 100
	key := h.keys.Current()
	var tag bytes.Buffer
	file := filestream.New(seed, size)
	state, err := key.Encode(t.Context(), file, size, &tag, heartbeat.EncodeOptions{Challenges: 4})
	must(t, err)
	challenge, state, err := key.Challenge(state)
	must(t, err)
	hash, err := filestream.Hash(t.Context(), seed, size)
	must(t, err)
	must(t, h.store.Stock(t.Context(), 0, store.NewChunk{
		Seed: seed, Hash: hash, Size: size, KeyID: key.ID, Challenge: challenge, State: state, Tag: bytes.NewReader(tag.Bytes()),
	}, h.Now()))
	handed, err := h.store.HandOut(t.Context(), h.token, size, store.HandOutLimits{Contracts: 1}, interval, h.Now())
	must(t, err)
	return h.proveHanded(t, handed[0])
}

// proveHanded proves what was handed out, from the tag in the records.
func (h *house) proveHanded(t *testing.T, c store.HandedOut) contract {
	t.Helper()
	stored, err := h.store.Tags(t.Context(), []store.HandedOut{c}).Next()
	must(t, err)
	tag, err := io.ReadAll(stored)
	must(t, err)
	key := h.keys.Current()
	prover, err := schemes.ParsePublic(key.Type(), key.Public())
	must(t, err)
	proof, err := prover.Prove(t.Context(), filestream.New(c.Seed, c.Size), c.Size, tag, c.Challenge)
	must(t, err)
	return contract{c.FileHash, proof}
}

// waiting is a job whose reply is awaited.
type waiting struct {
	job   queue.Job
	reply <-chan queue.Reply
}

// submit queues the proofs of contracts as one job.
func (h *house) submit(t *testing.T, answers ...contract) waiting {
	t.Helper()
	now := h.Now()
	job := queue.Job{
		ID: queue.NewID(), ReplyTo: h.replies.Address(), KeyID: h.token.KeyID, TokenID: h.token.ID,
		Received: now, Deadline: now.Add(20 * time.Second),
	}
	for _, c := range answers {
		job.Proofs = append(job.Proofs, queue.Proof{FileHash: c.hash, Proof: c.proof})
	}
	return h.enqueue(t, job)
}

func (h *house) enqueue(t *testing.T, job queue.Job) waiting {
	t.Helper()
	reply, cancel := h.replies.Expect(job.ID)
	t.Cleanup(cancel)
	must(t, h.queue.Enqueue(t.Context(), job))
	return waiting{job, reply}
}

// want waits for the reply.
func (w waiting) want(t *testing.T, outcomes ...node.Outcome) {
	t.Helper()
	select {
	case reply := <-w.reply:
		if len(reply.Outcomes) != len(outcomes) {
			t.Fatalf("%v, want %v", reply.Outcomes, outcomes)
		}
		for i, want := range outcomes {
			if reply.Outcomes[i] != want {
				t.Errorf("answer %d is %v, want %v", i, reply.Outcomes[i], want)
			}
		}
	case <-time.After(patience):
		t.Fatal("no reply")
	}
}

// heartbeats are those that were counted for the farmer.
func (h *house) heartbeats(t *testing.T) int64 {
	t.Helper()
	f, err := h.store.Farmer(t.Context(), h.token.FarmerID, h.Now())
	must(t, err)
	return f.Heartbeats
}

func (h *house) stats(t *testing.T) queue.Stats {
	t.Helper()
	stats, err := h.queue.Stats(t.Context())
	must(t, err)
	return stats
}

// empty waits until no job waits or is under way.
func (h *house) empty(t *testing.T) {
	t.Helper()
	waitFor(t, "an empty queue", func() bool { return h.stats(t).Length == 0 })
}

// clock stands still unless it is told to go on.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// patience is how long anything is waited for, which on a good day happens at
// once.
const patience = 30 * time.Second

var errTooLong = errors.New("it did not happen in time")

// waitFor looks until it has happened. It is for what gives no signal.
func waitFor(t testing.TB, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !happened(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, errTooLong)
		}
	}
}
