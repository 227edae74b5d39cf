package queue

import (
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"

	"github.com/driveshare/downstream-node/internal/testenv"
)

func TestMain(m *testing.M) {
	// The cluster's server ends with this process.
	testenv.Main(m, goleak.IgnoreAnyFunction("github.com/driveshare/downstream-node/internal/queue.runCluster"))
}

// server is a Redis that a test may do anything with.
type server struct {
	options Options
	down    func() // it ends, and loses everything
	up      func() // it is back, at the same address
	pause   func() // it answers no more
}

// open opens the queue of a namespace of its own.
func (s *server) open(t testing.TB, change ...func(*Options)) *Queue {
	t.Helper()
	o := s.options
	o.Namespace = strings.ReplaceAll(t.Name(), "/", ".") + "-" + NewID().String()
	for _, f := range change {
		f(&o)
	}
	q, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

// flush empties Redis, scripts included.
func flush(t testing.TB, q *Queue) {
	t.Helper()
	if err := q.client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if err := q.client.ScriptFlush(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}

// kind is a kind of Redis that the package is for.
type kind struct {
	name  string
	start func(testing.TB) *server
}

var kinds = []kind{{"miniredis", startMiniredis}, {"redis", startRedis}}

// onEach runs the test on every kind.
func onEach(t *testing.T, test func(*testing.T, *server)) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			test(t, kind.start(t))
		})
	}
}

// onEachOwn is onEach for tests that flush or end the server.
func onEachOwn(t *testing.T, test func(*testing.T, *server)) {
	t.Parallel()
	t.Run("miniredis", func(t *testing.T) { t.Parallel(); test(t, startMiniredis(t)) })
	t.Run("redis", func(t *testing.T) { t.Parallel(); test(t, startOwnRedis(t)) })
}

func startMiniredis(t testing.TB) *server {
	t.Helper()
	m := miniredis.NewMiniRedis()
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	addr := m.Addr()
	return &server{
		options: Options{Addrs: []string{addr}},
		down:    func() { m.Close() },
		up: func() {
			// A new one: after Restart it would not answer what blocks.
			m = miniredis.NewMiniRedis()
			if err := m.StartAddr(addr); err != nil {
				t.Error(err)
			}
		},
	}
}

// startRedis gives a part of a server that other tests use too.
func startRedis(t testing.TB) *server {
	t.Helper()
	return &server{options: Options{URL: testenv.NewRedis(t)}}
}

func startOwnRedis(t testing.TB) *server {
	t.Helper()
	r := testenv.StartRedis(t, testenv.Fast)
	return &server{
		options: Options{URL: r.NewURL(t)},
		down:    func() { r.Kill(t) },
		up:      func() { r.Start(t) },
		pause:   r.Pause,
	}
}

// eventually asks until the answer is yes.
func eventually(t testing.TB, what string, yes func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !yes(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}
