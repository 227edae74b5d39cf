package controllers_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/driveshare/downstream-node/controllers/internal/controlplane"
)

// documents returns the manifests that kustomize builds from a directory. The keys
// have the form kind/name.
func documents(t *testing.T, folder string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, document := range strings.Split(kubectl(t, "", "kustomize", folder), "\n---\n") {
		object := metav1.PartialObjectMetadata{}
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatal(err)
		}
		found[object.Kind+"/"+object.Name] = document
	}
	return found
}

// TestOverlayChangesTheImage checks that an overlay's image also applies to nodes. The
// operator's arguments must not name another image.
func TestOverlayChangesTheImage(t *testing.T) {
	t.Parallel()
	overlay := t.TempDir()
	base, err := filepath.Rel(overlay, controlplane.Path("config/default"))
	if err != nil {
		t.Fatal(err)
	}
	kustomization := "resources: ['" + base + "']\nimages: [{name: ghcr.io/driveshare/downstream-node, newName: localhost/downstream-node, newTag: dev}]\n"
	if err := os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), []byte(kustomization), 0o600); err != nil {
		t.Fatal(err)
	}
	operator := &appsv1.Deployment{}
	if err := yaml.Unmarshal([]byte(documents(t, overlay)["Deployment/downstream-operator"]), operator); err != nil {
		t.Fatal(err)
	}
	container := operator.Spec.Template.Spec.Containers[0]
	if container.Name != "operator" || container.Image != "localhost/downstream-node:dev" || container.ImagePullPolicy != "IfNotPresent" {
		t.Errorf("the container %s runs %s, pulled %s", container.Name, container.Image, container.ImagePullPolicy)
	}
	if args := strings.Join(container.Args, " "); strings.Contains(args, "--image") {
		t.Errorf("an argument names an image that overlays do not change: %s", args)
	}
	var env []string
	for _, e := range container.Env {
		env = append(env, e.Name)
	}
	if !slices.Equal(env, []string{"POD_NAME", "POD_NAMESPACE"}) {
		t.Errorf("the operator finds its pod by %v", env)
	}
}

// TestNamespacedHasNoClusterRights builds config/namespaced, and an overlay for another namespace.
// Cluster-wide, the operator may only ask who reads its metrics.
func TestNamespacedHasNoClusterRights(t *testing.T) {
	t.Parallel()
	overlay := t.TempDir()
	base, err := filepath.Rel(overlay, controlplane.Path("config/namespaced"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), []byte("namespace: team\nresources: ['"+base+"']\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for folder, namespace := range map[string]string{controlplane.Path("config/namespaced"): "downstream-system", overlay: "team"} {
		all := documents(t, folder)
		for name, document := range all {
			role, binding := rbacv1.ClusterRole{}, rbacv1.ClusterRoleBinding{}
			switch kind, _, _ := strings.Cut(name, "/"); kind {
			case "ClusterRole":
				if err := yaml.Unmarshal([]byte(document), &role); err != nil {
					t.Fatal(err)
				}
				for _, rule := range role.Rules {
					if slices.Contains(rule.Resources, "secrets") {
						t.Errorf("%s gives access to the Secrets of every namespace", name)
					}
				}
			case "ClusterRoleBinding":
				if name != "ClusterRoleBinding/downstream-metrics-auth" {
					t.Errorf("%s gives the operator rights in every namespace", name)
				}
			case "RoleBinding":
				if err := yaml.Unmarshal([]byte(document), &binding); err != nil {
					t.Fatal(err)
				}
				if binding.Namespace != namespace || binding.Subjects[0].Namespace != namespace || binding.RoleRef.Kind != "Role" {
					t.Errorf("%s is %+v, want one of %s", name, binding, namespace)
				}
			}
		}
		for _, name := range []string{"Role/downstream-operator", "RoleBinding/downstream-operator", "Namespace/" + namespace} {
			if all[name] == "" {
				t.Errorf("there is no %s", name)
			}
		}
		if !strings.Contains(all["Deployment/downstream-operator"], "--namespaces=$(POD_NAMESPACE)") {
			t.Error("the operator watches other namespaces")
		}
	}
}

// TestDeletingTheOperatorKeepsNodes compares config/operator with config/default.
// config/operator must lack only the CRD and the operator's namespace, because deleting
// them would delete nodes.
func TestDeletingTheOperatorKeepsNodes(t *testing.T) {
	t.Parallel()
	all, alone := documents(t, controlplane.Path("config/default")), documents(t, controlplane.Path("config/operator"))
	for name, document := range all {
		kept := strings.HasPrefix(name, "CustomResourceDefinition/") || strings.HasPrefix(name, "Namespace/")
		if _, ok := alone[name]; ok == kept {
			t.Errorf("%s is deleted: %t", name, ok)
		}
		if !kept && strings.TrimSpace(alone[name]) != strings.TrimSpace(document) {
			t.Errorf("%s differs", name)
		}
	}
	if len(all) != len(alone)+2 {
		t.Errorf("%d objects, and %d without the definition and the namespace", len(all), len(alone))
	}
}
