package controllers_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/driveshare/downstream-node/controllers/internal/controlplane"
)

var update = flag.Bool("update", false, "write the golden files again")

// asOperator returns the client configuration of an account. In the farm's namespace,
// the account has the permissions in config/rbac/role.yaml.
func (f *farm) asOperator() *rest.Config {
	f.t.Helper()
	text, err := os.ReadFile(controlplane.Path("config/rbac/role.yaml"))
	f.ok(err)
	role := &rbacv1.Role{}
	f.ok(yaml.Unmarshal(text, role))
	f.create(&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "operator"}, Rules: role.Rules})
	f.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "operator"}})
	f.create(&rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "operator"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "operator"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "operator", Namespace: f.namespace}},
	})
	cfg := rest.CopyConfig(config)
	cfg.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:" + f.namespace + ":operator", Groups: []string{"system:serviceaccounts", "system:authenticated"}}
	return cfg
}

func (f *farm) deploymentKind() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}
}

// kubectl runs kubectl against the test API server. It must succeed.
func kubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := tryKubectl(t, stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// tryKubectl runs kubectl. Its error contains what kubectl wrote to standard error.
func tryKubectl(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	dir, err := controlplane.Assets()
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, env.KubeConfig, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "kubectl"), append([]string{"--kubeconfig", kubeconfig}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("kubectl %v: %w\n%s", args, err, stderr.String())
	}
	return string(out), err
}

// TestPermissions installs config/default and config/namespaced and compares
// the operator's permissions with golden lists.
func TestPermissions(t *testing.T) {
	t.Parallel()
	kubectl(t, "", "create", "namespace", "elsewhere")
	const operator = "--as=system:serviceaccount:downstream-system:downstream-operator"
	can := func(golden, namespace string) {
		t.Helper()
		got := permissions(t, operator, namespace)
		path := filepath.Join("testdata", golden)
		if *update {
			if err := os.MkdirAll("testdata", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("%v; write it with go test -update", err)
		}
		if got != string(want) {
			t.Errorf("the operator may do in %s\n%s\nwant\n%s", namespace, got, want)
		}
	}
	kubectl(t, kubectl(t, "", "kustomize", controlplane.Path("config/namespaced")), "apply", "--server-side", "--force-conflicts", "-f", "-")
	can("can-i-namespaced-own.txt", "downstream-system")
	can("can-i-namespaced-elsewhere.txt", "elsewhere")
	kubectl(t, kubectl(t, "", "kustomize", controlplane.Path("config/default")), "apply", "--server-side", "--force-conflicts", "-f", "-")
	can("can-i-own.txt", "downstream-system")
	can("can-i-elsewhere.txt", "elsewhere")
}

// permissions returns the permissions of an account in a namespace, one in a line. It
// leaves out the permissions that every account has.
func permissions(t *testing.T, account, namespace string) string {
	t.Helper()
	list := func(account string) []string {
		var lines []string
		for line := range strings.Lines(kubectl(t, "", "auth", "can-i", "--list", "--no-headers", account, "-n", namespace)) {
			// If two roles grant verbs on a resource, the order of the verbs
			// varies.
			line = strings.Join(strings.Fields(line), " ")
			cut := strings.LastIndex(line, "[") + 1
			verbs := strings.Fields(strings.TrimSuffix(line[cut:], "]"))
			slices.Sort(verbs)
			lines = append(lines, line[:cut]+strings.Join(verbs, " ")+"]")
		}
		slices.Sort(lines)
		return lines
	}
	everybody := list("--as=system:serviceaccount:default:nobody")
	own := slices.DeleteFunc(list(account), func(line string) bool { return slices.Contains(everybody, line) })
	return strings.Join(own, "\n") + "\n"
}

// TestNoWildcards checks that no installed role contains a wildcard.
func TestNoWildcards(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"default", "namespaced"} {
		out := kubectl(t, "", "kustomize", controlplane.Path("config", folder))
		for _, document := range strings.Split(out, "\n---\n") {
			role := &rbacv1.ClusterRole{}
			if err := yaml.Unmarshal([]byte(document), role); err != nil || role.Kind != "ClusterRole" && role.Kind != "Role" {
				continue
			}
			for _, rule := range role.Rules {
				for _, list := range [][]string{rule.APIGroups, rule.Resources, rule.Verbs, rule.NonResourceURLs} {
					for _, entry := range list {
						if strings.Contains(entry, "*") {
							t.Errorf("%s/%s has a wildcard: %+v", folder, role.Name, rule)
						}
					}
				}
			}
		}
	}
}
