package controllers_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
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
