package controllers_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/cmd/kubectl-downstream/plugin"
	"github.com/driveshare/downstream-node/controllers/internal/controlplane"
)

// plugin runs a command of the kubectl plugin in the farm's namespace. It returns what the
// command printed.
func (f *farm) plugin(args ...string) (string, error) {
	f.t.Helper()
	kubeconfig := filepath.Join(f.t.TempDir(), "kubeconfig")
	f.ok(os.WriteFile(kubeconfig, env.KubeConfig, 0o600))
	var out bytes.Buffer
	cmd := plugin.New()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(append(args, "--kubeconfig", kubeconfig))
	err := cmd.ExecuteContext(f.t.Context())
	return out.String(), err
}

// restarts returns the annotations by which the plugin restarted the two Deployments.
func (f *farm) restarts() (times [2]string) {
	f.t.Helper()
	for i, name := range []string{"node-api", "node-workers"} {
		times[i] = f.deployment(name).Spec.Template.Annotations["kubectl.kubernetes.io/restartedAt"]
	}
	return times
}

// TestOperatorKeepsRestart checks that no change that the operator makes later takes the
// annotation of a restart away. Without the annotation, all pods would be replaced again.
func TestOperatorKeepsRestart(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "workers: {replicas: 3}")
	f.bringUp()
	if out, err := f.plugin("restart", "node", "-n", f.namespace); err != nil || !strings.Contains(out, "the pods of the Deployment node-workers are being replaced") {
		t.Fatalf("printed %q, %v", out, err)
	}
	restarted := f.restarts()
	if restarted[0] == "" || restarted[1] == "" {
		t.Fatalf("the annotations are %q", restarted)
	}
	keeps := func(after string) {
		t.Helper()
		f.settle()
		if got := f.restarts(); got != restarted {
			t.Errorf("after %s the annotations are %q, want %q", after, got, restarted)
		}
	}
	hash := f.deployment("node-api").Spec.Template.Annotations["downstream.driveshare.org/config-hash"]
	keeps("a reconcile")
	f.edit(func(s *v1.DownstreamNodeSpec) { s.Workers.Replicas = new(int32(4)) })
	keeps("more workers")
	f.edit(func(s *v1.DownstreamNodeSpec) { s.Contracts.IntervalSeconds = 299 })
	keeps("another configuration")
	if now := f.deployment("node-api").Spec.Template.Annotations["downstream.driveshare.org/config-hash"]; now == hash {
		t.Error("the configuration did not change")
	}
	f.edit(func(s *v1.DownstreamNodeSpec) {
		s.Image, s.Workers.Replicas = "example.org/downstream-node:v2", new(int32(5))
	})
	keeps("more workers during a migration")
	f.finish(f.jobOf("migration"), true)
	keeps("another image")
	if image := f.deployment("node-api").Spec.Template.Spec.Containers[0].Image; image != "example.org/downstream-node:v2" {
		t.Errorf("the image is %s", image)
	}
}

// grant gives a user the permissions of one of the roles "view" and "edit" in the farm's
// namespace. No controller runs that adds them up, so grant binds their parts.
func (f *farm) grant(user, role string) {
	f.t.Helper()
	bind := func(name string, ref rbacv1.RoleRef) {
		ref.APIGroup = rbacv1.GroupName
		f.create(&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: user + "-" + name},
			RoleRef:    ref,
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}},
		})
	}
	parts := map[string]string{"view": "node_viewer_role.yaml", "edit": "node_editor_role.yaml"}
	for _, part := range []string{"view", "edit"} {
		text, err := os.ReadFile(controlplane.Path("config/rbac", parts[part]))
		f.ok(err)
		own := &rbacv1.ClusterRole{}
		f.ok(yaml.Unmarshal(text, own))
		f.create(&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: user + "-" + own.Name}, Rules: own.Rules})
		bind("own-"+part, rbacv1.RoleRef{Kind: "Role", Name: user + "-" + own.Name})
		bind(part, rbacv1.RoleRef{Kind: "ClusterRole", Name: "system:aggregate-to-" + part})
		if part == role {
			return
		}
	}
}

// TestRolesOfVerbs checks the table of docs/reference/plugin.md. No kubelet runs, so
// a command that needs a pod fails, but not because it is forbidden.
func TestRolesOfVerbs(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.bringUp()
	f.grant("viewer", "view")
	f.grant("editor", "edit")
	template := f.deployment("node-workers").Spec.Template
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "worker", Labels: template.Labels}, Spec: *template.Spec.DeepCopy()}
	f.create(pod)
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "workers", ContainerID: "test://worker"}}
	f.ok(f.Status().Update(t.Context(), pod))
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	if out, err := f.plugin("key", "export", "node", key, "-n", f.namespace); err != nil {
		t.Fatalf("%s%v", out, err)
	}
	// The viewer comes first: a command that finds its work done changes nothing, so nothing
	// forbids it.
	for verb, tt := range map[string]struct {
		args []string
		view bool // the editor may do all
	}{
		"no verb":         {nil, true},
		"status":          {[]string{"status", "node"}, true},
		"farmers":         {[]string{"farmers", "node"}, false},
		"logs":            {[]string{"logs", "node"}, true},
		"report":          {[]string{"report", "node", "-o"}, true},
		"pause":           {[]string{"pause", "node"}, false},
		"restart":         {[]string{"restart", "node"}, false},
		"key list":        {[]string{"key", "list", "node"}, true},
		"key verify":      {[]string{"key", "verify", "node", key}, true},
		"key export":      {[]string{"key", "export", "node"}, false},
		"key import":      {[]string{"key", "import", "node", key}, false},
		"queue dead list": {[]string{"queue", "dead", "list", "node"}, false},
	} {
		for _, user := range []string{"viewer", "editor"} {
			may := tt.view || user == "editor"
			args := append([]string{"-n", f.namespace, "--as", user}, tt.args...)
			if verb == "report" || verb == "key export" { // the file to write
				args = append(args, filepath.Join(dir, user+" "+verb+".zip"))
			}
			out, err := f.plugin(args...)
			if err != nil && (apierrors.IsForbidden(err) || strings.Contains(err.Error(), "forbidden")) == may {
				t.Errorf("%s as %s: %v\n%s", verb, user, err, out)
			}
			if err == nil && !may {
				t.Errorf("%s as %s is permitted:\n%s", verb, user, out)
			}
			if verb == "report" && strings.Contains(out, "cannot be read, so its values") != (user == "viewer") {
				t.Errorf("report as %s: %s", user, out)
			}
		}
	}
}
