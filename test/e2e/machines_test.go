//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/driveshare/downstream-node/internal/farmer"
	"github.com/driveshare/downstream-node/test/deployment"
)

// TestMachines runs a node on the machines of several zones: its pods spread over the zones, also
// after a rollout. The drain of a machine fails no request. A machine that dies costs no
// farmer a contract, and its pods move.
func TestMachines(t *testing.T) {
	zoneOf, zones := zonesOfMachines(t)
	machine, stop, start := os.Getenv("E2E_MACHINE"), os.Getenv("E2E_STOP_MACHINE"), os.Getenv("E2E_START_MACHINE")
	if len(zones) < 2 {
		if machine != "" {
			t.Fatalf("the machines are in the zones %v, want two or more", zones)
		}
		t.Skip("the cluster has machines in one zone only")
	}
	n := space(t)
	wrong := 6
	restart := func() {
		t.Helper()
		wrong++
		n.patch(t, fmt.Sprintf(`{"spec": {"contracts": {"wrongAnswers": %d}}}`, wrong))
		n.awaitSettled(t)
		for _, role := range []string{"api", "workers"} {
			var used []string
			for _, pod := range n.pods(t, role) {
				used = append(used, zoneOf[pod.Spec.NodeName])
			}
			if slices.Sort(used); !slices.Equal(used, zones) {
				t.Errorf("the pods of the %s are in %v, want one in each of %v", role, used, zones)
			}
		}
	}
	// By default, Kubernetes waits for 300 seconds before it replaces the pods of a dead machine.
	n.applySpec(t, strings.Replace(busyNode, "intervalSeconds: 10", "intervalSeconds: 20", 1)+fmt.Sprintf(`
  api: {replicas: %d}
  workers: {replicas: %[1]d}
  pods:
    tolerations:
    - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 5}
    - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 5}
`, len(zones)))
	n.awaitReady(t, 2*time.Minute)
	restart()
	if machine == "" {
		t.Log("not tested: the drain and the loss of a machine, because E2E_MACHINE names none that the tests may stop")
		return
	}
	// The timeout has about the ratio to the interval that the client's default has to the
	// node's. Requests to a machine that has just died get no response.
	farmers, _ := startFarmers(t, n.url(t), deployment.NewAddress(t), 5, farmer.ClientConfig{Timeout: 5 * time.Second})
	awaitHeartbeats(t, farmers, 30)

	t.Cleanup(func() { must(t, "kubectl", "uncordon", machine) })
	began := time.Now()
	must(t, "kubectl", "drain", machine, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=2m")
	n.awaitSettled(t)
	if left := n.podsOn(t, machine); len(left) > 0 {
		t.Errorf("%v are still on the drained machine", left)
	}
	awaitHeartbeats(t, farmers, 30)
	checkUnharmed(t, farmers, fmt.Sprintf("the drain of a machine in %.0f s", time.Since(began).Seconds()))
	must(t, "kubectl", "uncordon", machine)
	restart() // some pods are on the machine again

	command(t, stop)
	t.Cleanup(func() {
		command(t, start)
		must(t, "kubectl", "wait", "node/"+machine, "--for=condition=Ready", "--timeout=2m")
	})
	moved := eventually(t, 2*time.Minute, func() error {
		status := n.get(t).Status
		if left := n.podsOn(t, machine); len(left) > 0 || int(status.API.ReadyReplicas) < len(zones) || int(status.Workers.ReadyReplicas) < len(zones) {
			return fmt.Errorf("%v are still on the dead machine; %+v", left, status)
		}
		return nil
	})
	awaitHeartbeats(t, farmers, 2*n.number(t, "SELECT COUNT(*) FROM contracts"))
	s := farmers.Snapshot()
	void, expired := n.number(t, "SELECT COALESCE(SUM(voided), 0) FROM faults"), n.number(t, "SELECT COALESCE(SUM(expired), 0) FROM tokens")
	t.Logf("a machine died, and its pods had moved after %.0f s: %d heartbeats, %d requests repeated, lost %d, void %d, expired %d, proofs refused %d",
		moved.Seconds(), s.Heartbeats, s.Retries, s.Dropped, void, expired, s.Rejected)
	if s.Dropped+s.Rejected+void+expired > 0 {
		t.Error("the dead machine cost the farmers contracts")
	}
}

// zonesOfMachines returns the zones of the machines that can run pods, by the names of the
// machines, and all zones.
func zonesOfMachines(t *testing.T) (zoneOf map[string]string, zones []string) {
	t.Helper()
	machines := &corev1.NodeList{}
	if err := api.List(context.Background(), machines); err != nil {
		t.Fatal(err)
	}
	zoneOf = map[string]string{}
	for _, m := range machines.Items {
		tainted := slices.ContainsFunc(m.Spec.Taints, func(t corev1.Taint) bool { return t.Effect != corev1.TaintEffectPreferNoSchedule })
		if zone := m.Labels[corev1.LabelTopologyZone]; zone != "" && !tainted {
			zoneOf[m.Name] = zone
		}
	}
	zones = slices.Compact(slices.Sorted(maps.Values(zoneOf)))
	return zoneOf, zones
}

// podsOn lists the API replicas and workers on a machine that are not being deleted.
func (n *node) podsOn(t *testing.T, machine string) (names []string) {
	t.Helper()
	for _, role := range []string{"api", "workers"} {
		for _, pod := range n.pods(t, role) {
			if pod.Spec.NodeName == machine {
				names = append(names, pod.Name)
			}
		}
	}
	return names
}

// command runs a command of the environment.
func command(t *testing.T, words string) {
	t.Helper()
	must(t, "sh", "-c", words)
}
