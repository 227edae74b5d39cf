// Package redistest runs a test against every kind of Redis that a node
// supports. It is for tests only. A package that uses it must call testenv.Main.
package redistest

import (
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/driveshare/downstream-node/internal/testenv"
)

// Server is a Redis server for a test.
type Server struct {
	Addr       string // host:port; empty if URL is set
	URL        string
	MasterName string // if Addr is a Sentinel's
	Cluster    bool

	// The functions are nil if other tests share the server.
	Down  func() // stops the server; all its data is lost
	Up    func() // starts the server again, at the same IP address and port
	Pause func() // makes the server stop responding
}

// Kind is a kind of Redis.
type Kind struct {
	Name  string
	Start func(testing.TB) *Server
}

// OnEach runs the test on every kind of server. Other tests may use the server at
// the same time.
func OnEach(t *testing.T, test func(*testing.T, *Server)) {
	t.Helper()
	onEach(t, []Kind{{"miniredis", Miniredis}, {"redis", Shared}, {"sentinel", Sentinel}, {"cluster", Cluster}}, test)
}

// OnEachOwn is like OnEach, for tests that flush or stop the server.
func OnEachOwn(t *testing.T, test func(*testing.T, *Server)) {
	t.Helper()
	onEach(t, []Kind{{"miniredis", Miniredis}, {"redis", Own}}, test)
}

func onEach(t *testing.T, kinds []Kind, test func(*testing.T, *Server)) {
	t.Helper()
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			test(t, kind.Start(t))
		})
	}
}

// Miniredis starts a server inside the test's process.
func Miniredis(t testing.TB) *Server {
	t.Helper()
	m := miniredis.NewMiniRedis()
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	addr := m.Addr()
	return &Server{
		Addr: addr,
		Down: func() { m.Close() },
		Up: func() {
			// Create a new server, because after Restart blocking commands get no
			// reply.
			m = miniredis.NewMiniRedis()
			if err := m.StartAddr(addr); err != nil {
				t.Error(err)
			}
		},
	}
}

// Shared returns a database of a Redis that other tests use too.
func Shared(t testing.TB) *Server {
	t.Helper()
	return &Server{URL: testenv.NewRedis(t)}
}

// Sentinel returns a Sentinel that other tests use too.
func Sentinel(t testing.TB) *Server {
	t.Helper()
	return &Server{Addr: testenv.Sentinel(t), MasterName: testenv.SentinelMaster}
}

// Cluster returns a Redis Cluster that other tests use too.
func Cluster(t testing.TB) *Server {
	t.Helper()
	return &Server{Addr: testenv.RedisCluster(t), Cluster: true}
}

// Own starts a Redis for one test.
func Own(t testing.TB) *Server {
	t.Helper()
	r := testenv.StartRedis(t, testenv.Fast)
	return &Server{
		URL:   r.NewURL(t),
		Down:  func() { r.Kill() },
		Up:    func() { r.Start(t) },
		Pause: func() { r.Pause() },
	}
}
