//go:build e2e

package e2e

import (
	"archive/zip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/cmd/kubectl-downstream/plugin"
	"github.com/driveshare/downstream-node/test/deployment"
)

// plugin runs a command of the kubectl plugin in the node's namespace. It must succeed.
func (n *node) plugin(t *testing.T, args ...string) string {
	t.Helper()
	var out strings.Builder
	cmd := plugin.New()
	cmd.SetArgs(append([]string{"--namespace", n.namespace}, args...))
	cmd.SetOut(&out)
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, &out)
	}
	return out.String()
}

// TestPlugin runs the verbs that need a kubelet, and checks that a restart replaces every pod
// and costs farmers no request.
func TestPlugin(t *testing.T) {
	t.Parallel()
	n := space(t)
	n.applySpec(t, busyNode+"  workers: {replicas: 2}\n")
	n.awaitReady(t, 2*time.Minute)
	n.awaitSettled(t)
	farmers, _ := startFarmers(t, n.url(t), deployment.NewAddress(t), 5)
	awaitHeartbeats(t, farmers, 20)

	before := slices.Concat(names(n, t, "api"), names(n, t, "workers"))
	t.Log(n.plugin(t, "restart", n.name, "--wait", "3m"))
	n.awaitSettled(t)
	after := slices.Concat(names(n, t, "api"), names(n, t, "workers"))
	if slices.ContainsFunc(after, func(name string) bool { return slices.Contains(before, name) }) {
		t.Errorf("after the restart the pods are %v, before %v", after, before)
	}
	awaitHeartbeats(t, farmers, 20)
	checkUnharmed(t, farmers, "a restart")

	logs := n.plugin(t, "logs", n.name)
	for _, pod := range after {
		if !strings.Contains(logs, "\n"+pod+" ") && !strings.HasPrefix(logs, pod+" ") {
			t.Errorf("the logs have no line of the pod %s:\n%s", pod, logs)
		}
	}
	if list := n.plugin(t, "queue", "dead", "list", n.name); !strings.HasPrefix(list, "ID") {
		t.Errorf("queue dead list prints %q", list)
	}
	bundle := filepath.Join(t.TempDir(), "bundle.zip")
	n.plugin(t, "report", n.name, "--output", bundle)
	in, err := zip.OpenReader(bundle)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for _, pod := range after {
		if !slices.ContainsFunc(in.File, func(f *zip.File) bool {
			return strings.HasPrefix(f.Name, "bundle/logs/"+pod+"/") && f.UncompressedSize64 > 0
		}) {
			t.Errorf("the bundle has no log of the pod %s", pod)
		}
	}
}
