package main

import (
	"path/filepath"
	"testing"
)

func TestWithoutKubeconfig(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "kubeconfig")
	t.Setenv("KUBECONFIG", missing)
	t.Setenv("KUBERNETES_SERVICE_HOST", "") // also if the test runs in a pod
	cmd := newCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(nil)
	want := "find the cluster: this is no pod, and no kubeconfig names a cluster (looked for " + missing + "); name one with KUBECONFIG"
	if err := cmd.ExecuteContext(t.Context()); err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}
