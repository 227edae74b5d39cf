package plugin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

const kubeconfig = `
apiVersion: v1
kind: Config
clusters: [{name: far, cluster: {server: "https://far.example/prefix"}}]
users: [{name: me, user: {token: secret}}]
contexts:
- {name: one, context: {cluster: far, user: me, namespace: first}}
- {name: two, context: {cluster: far, user: me, namespace: second}}
current-context: one
`

func TestKubectlFlags(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"":                     "first https://far.example/prefix/api/v1/namespaces/first/pods/http:p:9090/proxy/metrics",
		"-n third":             "third https://far.example/prefix/api/v1/namespaces/third/pods/http:p:9090/proxy/metrics",
		"--context two":        "second https://far.example/prefix/api/v1/namespaces/second/pods/http:p:9090/proxy/metrics",
		"-s https://near.test": "first https://near.test/api/v1/namespaces/first/pods/http:p:9090/proxy/metrics",
	} {
		cmd := New()
		access := newClusterAccess(cmd.Flags())
		if err := cmd.ParseFlags(append(strings.Fields(args), "--kubeconfig", file)); err != nil {
			t.Fatal(err)
		}
		c, err := access.connect()
		if err != nil {
			t.Fatal(err)
		}
		if got := c.namespace + " " + c.proxied("pods", "p", "9090", "metrics").String(); got != want {
			t.Errorf("%q: %s", args, got)
		}
	}
}

func TestWithoutKubeconfig(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "kubeconfig")
	t.Setenv("KUBECONFIG", missing)
	t.Setenv("KUBERNETES_SERVICE_HOST", "") // the test may run in a pod
	for name, tt := range map[string]struct {
		cmd  *cobra.Command
		args []string
		says string
	}{
		"node":            {New(), []string{"status", "farm"}, "reach the cluster: no kubeconfig names a cluster (looked for " + missing + "); name one with KUBECONFIG or --kubeconfig"},
		"operator status": {New(), []string{"operator"}, "reach the cluster: no kubeconfig names a cluster (looked for " + missing + "); name one with KUBECONFIG or --kubeconfig"},
	} {
		tt.cmd.SilenceErrors, tt.cmd.SilenceUsage = true, true
		tt.cmd.SetArgs(tt.args)
		if err := tt.cmd.ExecuteContext(t.Context()); err == nil || err.Error() != tt.says {
			t.Errorf("%s: %v\nwant %s", name, err, tt.says)
		}
	}
}
