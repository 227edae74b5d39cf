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

// TestUpgrade checks that a chart upgrade replaces pods only if it changes them.
func TestUpgrade(t *testing.T) {
	previous := filepath.Join(t.TempDir(), "chart")
	if err := os.CopyFS(previous, os.DirFS(chart)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(previous, "Chart.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "version:") {
			line = "version: 0.0.1\n"
		}
		lines = append(lines, line)
	}
	if err := os.WriteFile(file, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := installChart(previous); err != nil {
		t.Fatal(err)
	}
	n := space(t)
	n.applySpec(t, busyNode)
	n.awaitReady(t, 2*time.Minute)
	n.awaitSettled(t)
	before := append(names(n, t, "api"), names(n, t, "workers")...)
	if err := installChart(chart, "--set", "podAnnotations.upgraded=yes"); err != nil {
		t.Fatal(err)
	}
	n.patch(t, `{"metadata": {"labels": {"seen": "by-the-new-one"}}, "spec": {"log": {"level": "info"}}}`)
	time.Sleep(10 * time.Second)
	if after := append(names(n, t, "api"), names(n, t, "workers")...); !slices.Equal(before, after) {
		t.Errorf("pods %v became %v", before, after)
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
