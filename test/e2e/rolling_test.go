//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/internal/farmer"
	"github.com/driveshare/downstream-node/test/deployment"
)

// checkUnharmed fails the test if any request of the farmers has failed.
func checkUnharmed(t *testing.T, farmers farmer.Group, what string) {
	t.Helper()
	s := farmers.Snapshot()
	t.Logf("%s: %d heartbeats, %d requests failed, %d proofs refused, %d contracts lost", what, s.Heartbeats, s.Retries, s.Rejected, s.Dropped)
	if s.Retries > 0 || s.Rejected > 0 || s.Dropped > 0 {
		t.Errorf("%s cost the farmers requests, proofs or contracts: %+v", what, s)
	}
}

// TestRolling checks that no request fails if the image, the configuration or the
// number of workers changes.
func TestRolling(t *testing.T) {
	t.Parallel()
	n := space(t)
	n.applySpec(t, busyNode+"  workers: {replicas: 2}\n")
	n.awaitReady(t, 2*time.Minute)
	n.awaitSettled(t)
	farmers, _ := startFarmers(t, n.url(t), deployment.NewAddress(t), 5)
	awaitHeartbeats(t, farmers, 20)
	for _, change := range []struct {
		what, patch string
		replaces    string // the role whose pods are replaced
	}{
		{"another image", fmt.Sprintf(`{"spec": {"image": "%s:%s"}}`, repository, otherTag), "api"},
		{"another configuration", `{"spec": {"contracts": {"wrongAnswers": 9}}}`, "api"},
		{"more workers", `{"spec": {"workers": {"replicas": 3}}}`, ""},
		{"fewer workers", `{"spec": {"workers": {"replicas": 1}}}`, ""},
	} {
		before := names(n, t, "api")
		n.patch(t, change.patch)
		n.awaitSettled(t)
		after := names(n, t, "api")
		kept := slices.ContainsFunc(after, func(name string) bool { return slices.Contains(before, name) })
		if kept == (change.replaces == "api") {
			t.Errorf("%s: pods %v became %v", change.what, before, after)
		}
		awaitHeartbeats(t, farmers, 10)
		checkUnharmed(t, farmers, change.what)
	}
}

func names(n *node, t *testing.T, role string) []string {
	var out []string
	for _, pod := range n.pods(t, role) {
		out = append(out, pod.Name)
	}
	slices.Sort(out)
	return out
}

// leader returns the name of the operator pod that holds the lease.
func leader(t *testing.T) string {
	t.Helper()
	lease := &coordinationv1.Lease{}
	if err := api.Get(context.Background(), client.ObjectKey{Namespace: operatorNamespace, Name: "downstream-operator"}, lease); err != nil {
		t.Fatal(err)
	}
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	pod, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
	return pod
}

// TestLeaderKilled checks that the other operator pod becomes the leader.
func TestLeaderKilled(t *testing.T) {
	n := space(t)
	n.applySpec(t, busyNode)
	n.awaitReady(t, 2*time.Minute)
	n.awaitSettled(t)
	killed := leader(t)
	must(t, "kubectl", "-n", operatorNamespace, "delete", "pod", killed, "--grace-period=0", "--force")
	n.patch(t, `{"spec": {"workers": {"replicas": 2}}}`)
	took := eventually(t, 2*time.Minute, func() error {
		if object := n.get(t); object.Status.ObservedGeneration != object.Generation || object.Status.Workers.DesiredReplicas != 2 {
			return fmt.Errorf("the edit has not been seen: %+v", object.Status.Workers)
		}
		return nil
	})
	if now := leader(t); now == killed || now == "" {
		t.Errorf("led by %q, after %q was killed", now, killed)
	}
	t.Logf("an edit was reconciled %.1f s after the leader was killed", took.Seconds())
}

// TestOperatorAbsent checks that a DownstreamNode continues to work without its
// operator, and that deleted pods are replaced.
func TestOperatorAbsent(t *testing.T) {
	n := space(t)
	n.applySpec(t, busyNode)
	n.awaitReady(t, 2*time.Minute)
	n.awaitSettled(t)
	farmers, _ := startFarmers(t, n.url(t), deployment.NewAddress(t), 3)
	awaitHeartbeats(t, farmers, 10)

	deployment := "deploy/" + release + "-downstream-node"
	must(t, "kubectl", "-n", operatorNamespace, "scale", deployment, "--replicas=0")
	must(t, "kubectl", "-n", operatorNamespace, "wait", "--for=delete", "pod", "-l", "app.kubernetes.io/component=operator", "--timeout=1m")
	t.Cleanup(func() {
		must(t, "kubectl", "-n", operatorNamespace, "scale", deployment, "--replicas=2")
		must(t, "kubectl", "-n", operatorNamespace, "rollout", "status", deployment, "--timeout=2m")
	})
	for _, role := range []string{"api", "workers"} {
		must(t, "kubectl", "-n", n.namespace, "delete", "pod", n.pods(t, role)[0].Name)
	}
	must(t, "kubectl", "-n", n.namespace, "rollout", "status", "deploy/"+n.name+"-workers", "--timeout=1m")
	must(t, "kubectl", "-n", n.namespace, "rollout", "status", "deploy/"+n.name+"-api", "--timeout=1m")
	awaitHeartbeats(t, farmers, 10)
	s := farmers.Snapshot()
	t.Logf("without an operator, with one pod of each kind deleted: %d heartbeats, %d requests repeated, %d contracts lost", s.Heartbeats, s.Retries, s.Dropped)
	if s.Dropped > 0 || s.Rejected > 0 {
		t.Errorf("%+v", s)
	}
}
