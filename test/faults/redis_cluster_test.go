//go:build clusters

package faults

import (
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/test/deployment"
)

// everywhere returns the same settings for each process.
func everywhere(int) deployment.Settings { return deployment.Settings{} }

// farmOnRedis starts a node with its own MariaDB, and farmers.
func farmOnRedis(t *testing.T, options *redis.UniversalOptions) *farming {
	t.Helper()
	settings := deployment.Settings{"redis.addrs": strings.Join(options.Addrs, ",")}
	if options.MasterName != "" {
		settings["redis.masterName"] = options.MasterName
	} else {
		settings["redis.cluster"] = "true"
	}
	database := testenv.StartMariaDB(t, testenv.Fast)
	n := deployment.StartOn(t, binary, database.NewDatabase(t), clusterSettings(settings))
	return farmOn(t, n, redis.NewUniversalClient(options), everywhere)
}

// replaceMaster kills, pauses and replaces the master. roles returns the present master and its
// replica.
func (f *farming) replaceMaster(t *testing.T, roles func() (master, replica *testenv.Redis), byHand func(replica *testenv.Redis)) {
	t.Helper()
	for _, step := range []struct {
		name          string
		inject, after func(master, replica *testenv.Redis)
	}{
		{"master killed", func(m, _ *testenv.Redis) { m.Kill() }, func(m, _ *testenv.Redis) { m.Start(t) }},
		{"master paused and resumed", func(m, _ *testenv.Redis) { m.Pause() }, func(m, _ *testenv.Redis) { m.Resume() }},
		{"manual failover", func(_, r *testenv.Redis) { byHand(r) }, func(_, _ *testenv.Redis) {}},
	} {
		master, replica := roles()
		f.fault(t, step.name, func() {
			step.inject(master, replica)
			eventually(t, "the replica becomes the master", replica.IsMaster)
			f.await(t, 30)
			step.after(master, replica)
		})
	}
}

// Three Sentinels watch a master and a replica. The master is killed, is paused and
// resumes, and hands over to its replica.
func TestFarmingOnSentinel(t *testing.T) {
	t.Parallel()
	const name = "mymaster"
	one, two := testenv.StartRedis(t, testenv.Fast), testenv.StartRedis(t, testenv.Fast)
	two.Follow(t, one)
	sentinels := testenv.StartSentinels(t, name, one, 3)
	f := farmOnRedis(t, &redis.UniversalOptions{MasterName: name, Addrs: sentinels, Protocol: 2})
	roles := func() (master, replica *testenv.Redis) {
		eventually(t, "one server is the master and the other its replica", func() bool {
			master, replica = one, two
			if two.IsMaster() {
				master, replica = two, one
			}
			return master.IsMaster() && replica.IsReplica()
		})
		return master, replica
	}
	f.replaceMaster(t, roles, func(*testenv.Redis) { testenv.SentinelFailover(t, sentinels[0], name) })
	f.finish(t, "Redis Sentinel")
}

// A Redis Cluster has three masters with a replica each. The master with the node's keys is
// killed, is paused and resumes, and hands over to its replica. Then the slot moves
// twice to another master while farmers send proofs.
func TestFarmingOnRedisCluster(t *testing.T) {
	t.Parallel()
	nodes := testenv.StartRedisCluster(t, 3)
	addrs := make([]string, len(nodes))
	for i, r := range nodes {
		addrs[i] = r.Addr()
	}
	f := farmOnRedis(t, &redis.UniversalOptions{IsClusterMode: true, Addrs: addrs, Protocol: 2})
	slot, err := f.queue.ClusterKeySlot(t.Context(), deployment.Jobs).Result()
	testenv.Must(t, err)
	roles := func() (master, replica *testenv.Redis) {
		master = nodes.Owner(t, slot)
		return master, nodes.ReplicaOf(t, master)
	}
	f.replaceMaster(t, roles, func(replica *testenv.Redis) { replica.Do(t, "CLUSTER", "FAILOVER") })
	for range 2 {
		master, _ := roles()
		other := nodes[slices.IndexFunc(nodes, func(r *testenv.Redis) bool { return r != master && r.IsMaster() })]
		f.fault(t, "slot moved", func() {
			nodes.MoveSlot(t, slot, master, other, func() { f.await(t, 60) })
		})
		if owner := nodes.Owner(t, slot); owner != other {
			t.Error("the slot has not moved")
		}
	}
	f.finish(t, "Redis Cluster")
}
