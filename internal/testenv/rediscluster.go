package testenv

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// redisClusterSlots is the number of slots of a Redis Cluster.
const redisClusterSlots = 16384

func launchClusterNode() (*Redis, error) {
	bus, err := FreePort()
	if err != nil {
		return nil, err
	}
	r, err := launchRedis(Fast, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(bus),
		"--cluster-node-timeout", "2000", "--repl-diskless-sync-delay", "0")
	if err == nil {
		r.bus = bus
	}
	return r, err
}

// launchCluster starts a Cluster of one node.
func launchCluster() (*Redis, error) {
	r, err := launchClusterNode()
	if err != nil {
		return nil, err
	}
	if err = r.command("CLUSTER", "ADDSLOTSRANGE", 0, redisClusterSlots-1); err == nil {
		err = r.await(func() error { return r.command("SET", "ready", "yes") })
	}
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// RedisNodes are the nodes of a Redis Cluster.
type RedisNodes []*Redis

// StartRedisCluster starts a Redis Cluster with that many masters and one replica of each
// of them.
func StartRedisCluster(t testing.TB, masters int) RedisNodes {
	t.Helper()
	all := make(RedisNodes, 2*masters)
	for i := range all {
		r, err := launchClusterNode()
		all[i] = closeAfter(t, r, err)
		if i < masters {
			Must(t, r.command("CLUSTER", "ADDSLOTSRANGE", i*redisClusterSlots/masters, (i+1)*redisClusterSlots/masters-1))
		}
		Must(t, r.command("CLUSTER", "SET-CONFIG-EPOCH", i+1))
		if i > 0 {
			Must(t, r.command("CLUSTER", "MEET", "127.0.0.1", all[0].port, all[0].bus))
		}
	}
	for i, r := range all {
		Must(t, r.await(func() error { return r.knows(len(all)) }))
		if i >= masters {
			r.Replicate(t, all[i-masters])
		}
	}
	for _, r := range all {
		Must(t, r.await(func() error { return r.clusterOK(masters) }))
	}
	return all
}

// ID returns the id of a Cluster's node.
func (r *Redis) ID(t testing.TB) string {
	t.Helper()
	id, err := r.text("CLUSTER", "MYID")
	Must(t, err)
	return id
}

// Replicate makes a Cluster's node the replica of another.
func (r *Redis) Replicate(t testing.TB, master *Redis) {
	t.Helper()
	id := master.ID(t)
	Must(t, r.await(func() error { return r.command("CLUSTER", "REPLICATE", id) }))
}

// knows returns an error unless the node knows n nodes of its Cluster.
func (r *Redis) knows(n int) error {
	nodes, err := r.text("CLUSTER", "NODES")
	if err == nil && (strings.Count(nodes, "connected") < n || strings.Contains(nodes, "handshake")) {
		err = fmt.Errorf("the node does not know %d nodes:\n%s", n, nodes)
	}
	return err
}

// clusterOK returns an error unless the Cluster accepts commands and each master has a replica.
func (r *Redis) clusterOK(masters int) error {
	nodes, err := r.text("CLUSTER", "NODES")
	if err != nil {
		return err
	}
	info, err := r.text("CLUSTER", "INFO")
	if err == nil && (!strings.Contains(info, "cluster_state:ok") || strings.Count(nodes, "slave ") < masters) {
		err = fmt.Errorf("the Cluster is not ready:\n%s\n%s", nodes, info)
	}
	return err
}

// IsReplica reports whether the server is a replica with all data of its master.
func (r *Redis) IsReplica() bool {
	info, err := r.text("INFO", "replication")
	return err == nil && strings.Contains(info, "master_link_status:up")
}

// IsMaster reports whether the server is a master.
func (r *Redis) IsMaster() bool {
	info, err := r.text("INFO", "replication")
	return err == nil && strings.Contains(info, "role:master")
}

// Owner returns the master that has a slot.
func (nodes RedisNodes) Owner(t testing.TB, slot int64) (owner *Redis) {
	t.Helper()
	WaitFor(t, "a node has the slot", func() bool {
		for _, r := range nodes {
			if r.Running() && r.owns(slot) {
				owner = r
				return true
			}
		}
		return false
	})
	return owner
}

// owns reports whether the node says that it is the master of a slot.
func (r *Redis) owns(slot int64) bool {
	nodes, err := r.text("CLUSTER", "NODES")
	if err != nil {
		return false
	}
	for line := range strings.Lines(nodes) {
		fields := strings.Fields(line)
		if len(fields) < 9 || !strings.Contains(fields[2], "myself,master") {
			continue
		}
		for _, slots := range fields[8:] {
			from, to, isRange := strings.Cut(slots, "-")
			if !isRange {
				to = from
			}
			first, err1 := strconv.ParseInt(from, 10, 64)
			last, err2 := strconv.ParseInt(to, 10, 64)
			if err1 == nil && err2 == nil && first <= slot && slot <= last {
				return true
			}
		}
	}
	return false
}

// ReplicaOf returns a replica of a master that has all its data.
func (nodes RedisNodes) ReplicaOf(t testing.TB, master *Redis) (replica *Redis) {
	t.Helper()
	id := master.ID(t)
	WaitFor(t, "the master has a replica", func() bool {
		for _, r := range nodes {
			own, err := r.text("CLUSTER", "NODES")
			if err == nil && strings.Contains(own, "myself,slave "+id) && r.IsReplica() {
				replica = r
				return true
			}
		}
		return false
	})
	return replica
}

// MoveSlot moves a slot with its keys to another master, as `redis-cli --cluster reshard`
// does. During runs while each of the two nodes has half of the keys.
func (nodes RedisNodes) MoveSlot(t testing.TB, slot int64, from, to *Redis, during func()) {
	t.Helper()
	Must(t, to.command("CLUSTER", "SETSLOT", slot, "IMPORTING", from.ID(t)))
	Must(t, from.command("CLUSTER", "SETSLOT", slot, "MIGRATING", to.ID(t)))
	move := func(limit int) (moved int) {
		keys, err := from.list("CLUSTER", "GETKEYSINSLOT", slot, limit)
		Must(t, err)
		for _, key := range keys {
			Must(t, from.command("MIGRATE", "127.0.0.1", to.port, key, 0, 5000, "REPLACE"))
		}
		return len(keys)
	}
	keys, err := from.run("CLUSTER", "COUNTKEYSINSLOT", slot).Int()
	Must(t, err)
	move(keys / 2)
	during()
	for move(100) > 0 {
	}
	for _, r := range append(RedisNodes{to, from}, nodes...) { // the target must be the first to know
		if r.IsMaster() {
			Must(t, r.command("CLUSTER", "SETSLOT", slot, "NODE", to.ID(t)))
		}
	}
}
