//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/test/deployment"
)

// TestHelmTest runs the chart's own test.
func TestHelmTest(t *testing.T) {
	out := must(t, helm, "test", release, "--namespace", operatorNamespace, "--logs")
	if !strings.Contains(out, "led by") {
		t.Error(out)
	}
}

// TestChartNode checks that a DownstreamNode made from the chart's values becomes
// ready. It also checks that a chart upgrade keeps the fields that other clients
// have set, and that the kubectl plugin shows the DownstreamNode.
func TestChartNode(t *testing.T) {
	database := space(t)
	n := &node{namespace: operatorNamespace, name: "fromvalues"}
	must(t, "kubectl", "-n", operatorNamespace, "delete", "secret", "downstream-backends", "--ignore-not-found")
	dsn := must(t, "kubectl", "-n", database.namespace, "get", "secret", "downstream-backends", "-o", "jsonpath={.data.dsn}")
	url := must(t, "kubectl", "-n", database.namespace, "get", "secret", "downstream-backends", "-o", "jsonpath={.data.url}")
	n.apply(t, "apiVersion: v1\nkind: Secret\nmetadata: {name: downstream-backends}\ndata: {dsn: "+dsn+", url: "+url+"}\n")
	values := []string{
		"--set", "node.enabled=true", "--set", "node.name=" + n.name,
		"--set", "node.spec.mysql.dsnSecretRef.name=downstream-backends",
		"--set", "node.spec.redis.urlSecretRef.name=downstream-backends",
	}
	if err := installChart(chart, values...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		must(t, "kubectl", "-n", operatorNamespace, "delete", "dn", n.name)
		if err := installChart(chart); err != nil {
			t.Error(err)
		}
	})
	must(t, "kubectl", "-n", operatorNamespace, "scale", "dn/"+n.name, "--replicas=2")
	out := must(t, helm, "test", release, "--namespace", operatorNamespace, "--logs", "--timeout", "5m")
	if !strings.Contains(strings.Join(strings.Fields(out), " "), "Farmers online 0 of 0") {
		t.Error(out)
	}
	if err := installChart(chart, append(values, "--set", "node.labels.team=storage")...); err != nil {
		t.Fatal(err)
	}
	object := n.get(t)
	if *object.Spec.Workers.Replicas != 2 || object.Labels["team"] != "storage" {
		t.Errorf("after the upgrade there are %d workers and the labels %v", *object.Spec.Workers.Replicas, object.Labels)
	}
}

// TestUpgrade upgrades the operator from an earlier release while farmers use a node that was applied
// as v1alpha1. No request fails, and each pod is replaced at most once. Afterwards the
// manifest of v1alpha1 changes nothing, and neither does an upgrade that changes only the
// operator.
func TestUpgrade(t *testing.T) {
	previous, previousTag := os.Getenv("E2E_PREVIOUS_CHART"), os.Getenv("E2E_PREVIOUS_TAG")
	if previous == "" {
		t.Skip("E2E_PREVIOUS_CHART names no chart of an earlier release")
	}
	// An API server refuses a CRD without the version in which it has stored objects, so the
	// earlier release needs a cluster without the CRD.
	must(t, helm, "uninstall", release, "--namespace", operatorNamespace, "--wait")
	must(t, "kubectl", "delete", "crd", "downstreamnodes.downstream.driveshare.org", "--ignore-not-found", "--timeout=1m")
	t.Cleanup(func() {
		if err := installChart(chart); err != nil {
			t.Error(err)
		}
	})
	if err := installChart(previous, "--set", "image.tag="+previousTag); err != nil {
		t.Fatal(err)
	}
	n := space(t)
	manifest := n.manifest("v1alpha1", busyNode+"  workers: {replicas: 2}\n")
	n.apply(t, manifest)
	n.awaitReady(t, 2*time.Minute)
	for _, role := range []string{"api", "workers"} {
		must(t, "kubectl", "-n", n.namespace, "rollout", "status", "deployment/"+n.name+"-"+role, "--timeout=2m")
	}
	farmers, _ := startFarmers(t, n.url(t), deployment.NewAddress(t), 5)
	awaitHeartbeats(t, farmers, 20)

	if err := installChart(chart); err != nil {
		t.Fatal(err)
	}
	eventually(t, 2*time.Minute, func() error {
		for _, role := range []string{"api", "workers"} {
			if image := n.field(t, "deployment/"+n.name+"-"+role, ".spec.template.spec.containers[0].image"); image != repository+":"+tag {
				return fmt.Errorf("the %s run %s", role, image)
			}
		}
		return nil
	})
	n.awaitSettled(t)
	awaitHeartbeats(t, farmers, 20)
	checkUnharmed(t, farmers, "an upgrade from the release "+previousTag)
	before := append(names(n, t, "api"), names(n, t, "workers")...)

	if err := installChart(chart, "--set", "podAnnotations.upgraded=yes"); err != nil {
		t.Fatal(err)
	}
	generation := n.get(t).Generation
	n.apply(t, manifest)
	n.patch(t, `{"metadata": {"labels": {"seen": "by-the-new-one"}}}`)
	time.Sleep(10 * time.Second)
	if now := n.get(t).Generation; now != generation {
		t.Errorf("the manifest of v1alpha1 changed the node: its generation is %d, before %d", now, generation)
	}
	if after := append(names(n, t, "api"), names(n, t, "workers")...); !slices.Equal(before, after) {
		t.Errorf("pods %v became %v", before, after)
	}
	for _, role := range []string{"api", "workers"} {
		if revision := n.field(t, "deployment/"+n.name+"-"+role, `.metadata.annotations.deployment\.kubernetes\.io/revision`); revision != "2" {
			t.Errorf("the upgrade brought the %s to revision %s, want 2", role, revision)
		}
		for _, pod := range n.pods(t, role) {
			if restarts := pod.Status.ContainerStatuses[0].RestartCount; restarts > 0 {
				t.Errorf("pod %s was restarted %d times", pod.Name, restarts)
			}
		}
	}
}

// TestUninstall checks that DownstreamNodes, their pods and their heartbeat keys
// still exist after the chart is deleted. It also checks that a new release manages
// them.
func TestUninstall(t *testing.T) {
	n := space(t)
	n.applySpec(t, busyNode)
	n.awaitReady(t, 2*time.Minute)
	n.awaitSettled(t)
	key := func() string {
		return must(t, "kubectl", "-n", n.namespace, "get", "secret", n.name+"-heartbeat-key", "-o", "jsonpath={.metadata.uid}")
	}
	uid, pods := key(), names(n, t, "api")
	farmers, _ := startFarmers(t, n.url(t), deployment.NewAddress(t), 2)
	must(t, helm, "uninstall", release, "--namespace", operatorNamespace, "--wait")
	awaitHeartbeats(t, farmers, 10)
	if now := key(); now != uid || !slices.Equal(names(n, t, "api"), pods) {
		t.Errorf("the key %s became %s, pods %v became %v", uid, now, pods, names(n, t, "api"))
	}
	if err := installChart(chart); err != nil {
		t.Fatal(err)
	}
	n.patch(t, `{"spec": {"workers": {"replicas": 2}}}`)
	n.awaitSettled(t)
	checkUnharmed(t, farmers, "uninstalling the chart and installing it again")
	must(t, "kubectl", "-n", n.namespace, "delete", "dn", n.name)
	if now := key(); now != uid {
		t.Error("the key was deleted with the node")
	}
}

// TestKustomize checks that the kustomize files install an operator that works.
func TestKustomize(t *testing.T) {
	must(t, helm, "uninstall", release, "--namespace", operatorNamespace, "--wait")
	t.Cleanup(func() {
		if err := installChart(chart); err != nil {
			t.Error(err)
		}
	})
	tree := func(folder string) string {
		overlay := filepath.Join(t.TempDir(), folder)
		must(t, "cp", "-r", "../../config", overlay)
		// The files name a released image. Replace this image with the image under
		// test.
		kustomization := fmt.Sprintf("resources: [%s]\nimages: [{name: ghcr.io/driveshare/downstream-node, newName: %s, newTag: %s}]\n", folder, repository, tag)
		if err := os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), []byte(kustomization), 0o600); err != nil {
			t.Fatal(err)
		}
		return overlay
	}
	must(t, "kubectl", "apply", "--server-side", "--force-conflicts", "-k", tree("default"))
	t.Cleanup(func() {
		// Keep the CRD. If the CRD is deleted, every DownstreamNode is deleted too.
		must(t, "kubectl", "delete", "-k", tree("operator"))
		must(t, "kubectl", "delete", "namespace", "downstream-system")
	})
	must(t, "kubectl", "-n", "downstream-system", "rollout", "status", "deploy/downstream-operator", "--timeout=2m")
	n := space(t)
	n.applySpec(t, busyNode)
	n.awaitReady(t, 2*time.Minute)
	if image := must(t, "kubectl", "-n", n.namespace, "get", "deploy", n.name+"-api", "-o", "jsonpath={.spec.template.spec.containers[0].image}"); image != repository+":"+tag {
		t.Errorf("the node runs %s", image)
	}
	farmers, _ := startFarmers(t, n.url(t), deployment.NewAddress(t), 1)
	awaitHeartbeats(t, farmers, 3)
}
