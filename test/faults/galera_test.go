//go:build clusters

package faults

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/test/deployment"
)

// galera is a Galera cluster with the node's database.
type galera struct {
	nodes testenv.Galera
	dsn   string // leads to the first node
	addrs []string
}

// waiting returns the DSN for the test, which must see all earlier writes of other nodes.
func (g *galera) waiting(t *testing.T) string {
	t.Helper()
	cfg, err := mysql.ParseDSN(g.dsn)
	testenv.Must(t, err)
	cfg.Params = map[string]string{"wsrep_sync_wait": "7"}
	return cfg.FormatDSN()
}

func startGalera(t *testing.T) *galera {
	t.Helper()
	g := &galera{nodes: testenv.StartGalera(t)}
	g.dsn = g.nodes[0].NewDatabase(t)
	for _, m := range g.nodes {
		cfg, err := mysql.ParseDSN(m.DSN(t, g.dsn))
		testenv.Must(t, err)
		g.addrs = append(g.addrs, cfg.Addr)
	}
	return g
}

// from returns the settings of a process that uses the node with number i, and then the
// nodes after it.
func (g *galera) from(i int) deployment.Settings {
	i %= len(g.addrs)
	rotated := append(append([]string{}, g.addrs[i:]...), g.addrs[:i]...)
	return deployment.Settings{"database.dsn": strings.Replace(g.dsn, g.addrs[0], strings.Join(rotated, ","), 1)}
}

// conflicts returns how many transactions the nodes have ended because of a transaction on
// another node.
func (g *galera) conflicts(t *testing.T) (conflicts int) {
	t.Helper()
	for _, m := range g.nodes {
		for _, name := range []string{"wsrep_local_cert_failures", "wsrep_local_bf_aborts"} {
			n, err := strconv.Atoi(m.WsrepStatus(t, name))
			testenv.Must(t, err)
			conflicts += n
		}
	}
	return conflicts
}

// awaitLost waits until the cluster has lost a node other than the first.
func (g *galera) awaitLost(t *testing.T) {
	t.Helper()
	eventually(t, "the cluster has lost a node", func() bool { return g.nodes[0].WsrepStatus(t, "wsrep_cluster_size") == "2" })
}

// checkEqual fails the test unless all nodes have the same rows. No process may run.
func (g *galera) checkEqual(t *testing.T) {
	t.Helper()
	const wait, tables = "SET wsrep_sync_wait = 7; SELECT COUNT(*) FROM tokens; ", "tokens, contracts, chunks, files, faults, settings"
	var first string
	for i, m := range g.nodes {
		var rows strings.Builder
		for _, row := range m.Query(t, g.dsn, wait+"CHECKSUM TABLE "+tables) {
			fmt.Fprintln(&rows, row)
		}
		if i == 0 {
			first = rows.String()
		} else if rows.String() != first {
			t.Errorf("node %d has other rows than node 0:\n%s\n%s", i, rows.String(), first)
		}
	}
}

// The processes of a node use all three nodes of a Galera cluster at the same time, so
// their transactions conflict. Nodes are isolated, stopped, restarted one after the other,
// and lost with their data.
func TestFarmingOnGalera(t *testing.T) {
	t.Parallel()
	g := startGalera(t)
	server := testenv.StartRedis(t, testenv.Fast)
	url := server.NewURL(t)
	opt, err := redis.ParseURL(url)
	testenv.Must(t, err)
	n := deployment.StartOn(t, binary, g.waiting(t), clusterSettings(deployment.Settings{"redis.url": url}))
	f := farmOn(t, n, redis.NewClient(opt), g.from)

	f.fault(t, "certification conflicts", func() {
		eventually(t, "transactions conflict", func() bool { return g.conflicts(t) > 0 })
	})
	f.fault(t, "a node isolated", func() {
		g.nodes[1].Isolate(t, true)
		g.awaitLost(t)
		f.await(t, 30)
		g.nodes[1].Isolate(t, false)
		g.nodes[1].AwaitSynced(t)
	})
	f.spread(t)
	f.fault(t, "a node stopped", func() {
		g.nodes[2].Pause()
		g.awaitLost(t)
		f.await(t, 30)
		g.nodes[2].Resume()
		g.nodes[2].AwaitSynced(t)
	})
	f.spread(t)
	for i, m := range g.nodes {
		f.fault(t, fmt.Sprintf("node %d restarted", i), func() {
			m.Terminate(t)
			f.await(t, 20)
			m.Start(t)
		})
	}
	f.spread(t)
	f.fault(t, "a node lost with its data", func() {
		g.nodes[0].Kill()
		g.nodes[0].LoseData(t)
		f.await(t, 30)
		g.nodes[0].Start(t)
	})
	t.Logf("%d transactions were ended by transactions on other nodes", g.conflicts(t))
	f.finish(t, "Galera")
	for _, p := range append(f.apis, f.workers...) {
		p.Terminate(t)
	}
	g.checkEqual(t)
}

// spread restarts the workers, so that each uses its first node again.
func (f *farming) spread(t *testing.T) {
	t.Helper()
	for _, w := range f.workers {
		w.Terminate(t)
		w.Restart(t)
	}
}
