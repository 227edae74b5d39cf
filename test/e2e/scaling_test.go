//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"
)

// slowNode is a node whose proofs take long to verify, so that the workers limit
// the rate of proofs. Each proof covers a whole file of 2 MiB. After the inventory
// is full, the workers get a CPU limit and use slower kernels. With the fast
// kernels or a higher limit, four workers and the programs that supply them would need
// the whole machine.
const slowNode = `
  access: {signatures: false}
  api: {replicas: 1, resources: {requests: {cpu: 200m, memory: 128Mi}, limits: {memory: 1Gi}}}
  heartbeat: {checkFraction: "1"}
  contracts: {intervalSeconds: 3600, tokensPerIP: 1000, contractsPerRequest: 200, bytesPerAddress: 1Ti, wrongAnswers: 256,
    unprovenPerToken: 0, unprovenBytesPerToken: '0', inventoryShare: '0'}
`

const (
	stocking = slowNode + `
  inventory: {minChunkSize: 2Mi, maxChunkSize: 2Mi, totalSize: %s}
  workers: {replicas: 2}
`
	limited = slowNode + `
  inventory: {minChunkSize: 2Mi, maxChunkSize: 2Mi, totalSize: 2Mi}
  workers: {replicas: 1, resources: {requests: {cpu: 100m, memory: 128Mi}, limits: {cpu: 100m, memory: 512Mi}}%s}
`
)

// startSlowNode starts a slowNode. It also makes a farmer that holds the node's
// contracts and has computed their proofs.
func startSlowNode(t *testing.T, contracts int, workers string) (*node, *preparedFarmer) {
	t.Helper()
	n := space(t)
	n.applySpec(t, fmt.Sprintf(stocking, fmt.Sprintf("%dMi", 2*contracts)))
	n.awaitReady(t, 2*time.Minute)
	h := gather(t, n.url(t), contracts)
	// The operator does not own this variable, so the operator does not remove it.
	must(t, "kubectl", "-n", n.namespace, "set", "env", "deployment/"+n.name+"-workers", "GODEBUG=cpu.avx512f=off")
	n.applySpec(t, fmt.Sprintf(limited, workers))
	n.awaitSettled(t)
	return n, h
}

// TestScale checks that "kubectl scale" is sufficient to verify more proofs per
// second.
func TestScale(t *testing.T) {
	const few, many = 240, 1200
	n, h := startSlowNode(t, 3*few+many, "")
	h.send(t, few) // the first work of a pod is slower
	one := h.send(t, few)
	must(t, "kubectl", "-n", n.namespace, "scale", "dn/"+n.name, "--replicas=4")
	n.awaitSettled(t)
	if pods := n.pods(t, "workers"); len(pods) != 4 {
		t.Fatalf("there are %d workers, want 4", len(pods))
	}
	h.send(t, few)
	four := h.send(t, many)
	t.Logf("Swizzle proofs verified with 100m of CPU for each worker: 1 worker %.0f/s, 4 workers %.0f/s, %.1f times as many", one, four, four/one)
	if four < 3*one {
		t.Errorf("4 workers verify only %.1f times as many proofs per second as 1 worker", four/one)
	}
	if recorded := n.number(t, "SELECT SUM(heartbeats) FROM tokens"); recorded != 3*few+many {
		t.Errorf("%d heartbeats are recorded, want %d", recorded, 3*few+many)
	}
}

// TestAutoscaling checks that the number of workers increases and decreases with
// the backlog.
func TestAutoscaling(t *testing.T) {
	n, h := startSlowNode(t, 100, ", autoscaling: {min: 1, max: 3, targetBacklogPerWorker: 5, scaleDownDelaySeconds: 10}")
	stop := h.fillQueue(t)
	defer stop()
	up := eventually(t, 2*time.Minute, func() error { return n.workers(t, 3) })
	stop()
	down := eventually(t, 2*time.Minute, func() error { return n.workers(t, 1) })
	t.Logf("1 to 3 workers after %.0f s of backlog, and back to 1 %.0f s after it", up.Seconds(), down.Seconds())
}

// workers returns an error unless the number of desired workers and the number of
// ready workers both equal number.
func (n *node) workers(t *testing.T, number int32) error {
	s := n.get(t).Status
	if s.Workers.DesiredReplicas != number || s.Workers.ReadyReplicas != number {
		backlog := int64(-1)
		if s.Backlog != nil {
			backlog = *s.Backlog
		}
		return fmt.Errorf("%d of %d workers are ready, with a backlog of %d", s.Workers.ReadyReplicas, s.Workers.DesiredReplicas, backlog)
	}
	return nil
}

// TestWorkerKilled checks that every verification job of a killed worker is judged
// exactly once.
func TestWorkerKilled(t *testing.T) {
	const contracts = 400
	n, h := startSlowNode(t, contracts, "")
	must(t, "kubectl", "-n", n.namespace, "scale", "dn/"+n.name, "--replicas=2")
	n.awaitSettled(t)
	victim := n.pods(t, "workers")[0]
	killed := make(chan error, 1)
	go func() {
		time.Sleep(time.Second) // until the workers hold the maximum number of jobs
		killed <- kill(&victim)
	}()
	start := time.Now()
	h.send(t, contracts)
	if err := <-killed; err != nil {
		t.Fatal(err)
	}
	recorded := n.number(t, "SELECT SUM(heartbeats) FROM tokens")
	wrong := n.number(t, "SELECT SUM(wrong) FROM tokens")
	t.Logf("%d proofs, and one worker killed: %d heartbeats and %d wrong proofs recorded after %.0f s", contracts, recorded, wrong, time.Since(start).Seconds())
	if recorded != contracts || wrong != 0 {
		t.Error("a proof was lost, counted twice, or judged wrong")
	}
}
