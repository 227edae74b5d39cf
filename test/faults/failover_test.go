//go:build faults

package faults

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/test/deployment"
	"github.com/driveshare/downstream-node/test/ledger"
)

// Redis fails over to a replica that lacks the last writes of its primary. As a
// result, workers read jobs again that they had acknowledged, and replies are lost.
func TestRedisFailover(t *testing.T) {
	t.Parallel()
	address := startRedirect(t)
	n := start(t, deployment.Settings{"redis.url": "redis://" + address.String() + "/0"}, "300")
	standby := testenv.StartRedis(t, testenv.Fast)
	servers := []*testenv.Redis{n.Redis, standby}
	clients := []*redis.Client{open(t, n.Redis), open(t, standby)}
	address.lead(clients[0].Options().Addr)
	follow(t, clients[1], clients[0])

	apis := twoAPIs(t, n)
	n.Worker(t, nil)
	n.Worker(t, nil)
	var told ledger.Ledger
	l := begin(t, apis, &told)
	for i := range 2 { // to the replica and back
		l.await(t, 120)
		primary, next := i%2, (i+1)%2
		servers[primary].Kill()
		time.Sleep(outage / 2)
		replicaOf(t, clients[next], "NO", "ONE") // makes it the primary
		address.lead(clients[next].Options().Addr)
		l.await(t, 60)
		servers[primary].Start(t)
		follow(t, clients[primary], clients[next])
	}
	l.await(t, 120)
	if tally := audit(t, n, l, &told); tally.Broken > 0 {
		t.Errorf("%d requests were cut off; want a 503", tally.Broken)
	}
}

func open(t *testing.T, server *testenv.Redis) *redis.Client {
	t.Helper()
	opt, err := redis.ParseURL(server.NewURL(t))
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(opt)
	t.Cleanup(func() { client.Close() })
	return client
}

// follow makes the server a replica of primary, and waits until the server has all
// data.
func follow(t *testing.T, server, primary *redis.Client) {
	t.Helper()
	host, port, err := net.SplitHostPort(primary.Options().Addr)
	if err != nil {
		t.Fatal(err)
	}
	replicaOf(t, server, host, port)
	eventually(t, "the replica has caught up", func() bool {
		return server.InfoMap(t.Context(), "replication").Item("Replication", "master_link_status") == "up"
	})
}

func replicaOf(t *testing.T, server *redis.Client, host, port string) {
	t.Helper()
	if err := server.Do(t.Context(), "REPLICAOF", host, port).Err(); err != nil {
		t.Fatal(err)
	}
}

// redirect is a network address that leads to one of two servers, as the DNS name
// of a Redis with failover does.
type redirect struct {
	net.Listener

	mu     sync.Mutex
	target string
	open   map[net.Conn]bool
	busy   sync.WaitGroup
}

func startRedirect(t *testing.T) *redirect {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &redirect{Listener: l, open: map[net.Conn]bool{}}
	r.busy.Go(r.accept)
	t.Cleanup(func() {
		r.Close()
		r.lead("")
		r.busy.Wait()
	})
	return r
}

func (r *redirect) String() string { return r.Addr().String() }

// lead sends new connections to target, and closes the existing connections.
func (r *redirect) lead(target string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.target = target
	for conn := range r.open {
		conn.Close()
	}
}

func (r *redirect) accept() {
	for {
		client, err := r.Accept()
		if err != nil {
			return // closed
		}
		r.busy.Go(func() { r.join(client) })
	}
}

// join copies data between a client and the server until one of them closes the
// connection.
func (r *redirect) join(client net.Conn) {
	defer client.Close()
	r.mu.Lock()
	server, err := net.Dial("tcp", r.target)
	if err != nil {
		r.mu.Unlock()
		return
	}
	r.open[client] = true
	r.mu.Unlock()
	var answers sync.WaitGroup
	answers.Go(func() {
		io.Copy(client, server) // always ends with an error when the connection is closed, so the error is ignored
		client.Close()
	})
	io.Copy(server, client)
	server.Close()
	answers.Wait()
	r.mu.Lock()
	delete(r.open, client)
	r.mu.Unlock()
}
