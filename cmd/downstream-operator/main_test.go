package main

import (
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

// TestImageOfThePod finds the operator's image in a pod with other containers.
func TestImageOfThePod(t *testing.T) {
	t.Parallel()
	pod := func(name string, containers ...corev1.Container) client.Object {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "storage"}, Spec: corev1.PodSpec{Containers: containers}}
	}
	c := fake.NewClientBuilder().WithObjects(
		pod("usual", corev1.Container{Name: "mesh", Image: "mesh:1"}, corev1.Container{Name: "operator", Image: "node:1"}),
		pod("odd", corev1.Container{Name: "mesh", Image: "mesh:1"}),
	).Build()
	for name, tt := range map[string]struct{ image, says string }{
		"usual": {"node:1", ""},
		"odd":   {"", "no container operator"},
		"gone":  {"", "--image is not set"},
	} {
		image, err := imageOf(t.Context(), c, client.ObjectKey{Namespace: "storage", Name: name})
		if image != tt.image || (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %q, %v", name, image, err)
		}
	}
}

// TestImageUnknown runs findImage outside a pod and without the flag.
func TestImageUnknown(t *testing.T) {
	t.Setenv("POD_NAME", "")
	if _, err := findImage(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "--image") {
		t.Error(err)
	}
}

func TestWithoutKubeconfig(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "kubeconfig")
	t.Setenv("KUBECONFIG", missing)
	t.Setenv("KUBERNETES_SERVICE_HOST", "") // also if the test runs in a pod
	cmd := newCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(nil)
	want := "find the cluster: this is not a pod, and no kubeconfig names a cluster (looked for " + missing + "); name one with KUBECONFIG"
	if err := cmd.ExecuteContext(t.Context()); err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}

// TestNamespaces reads the flag as OLM gives it: with nothing for all namespaces.
func TestNamespaces(t *testing.T) {
	t.Parallel()
	for flag, want := range map[string]int{"--namespaces=": 0, "--namespaces=farm": 1, "--namespaces=farm,storage": 2} {
		cmd := newCommand()
		if err := cmd.ParseFlags([]string{flag}); err != nil {
			t.Fatal(err)
		}
		names, err := cmd.Flags().GetStringSlice("namespaces")
		if got := namespaces(names); err != nil || len(got) != want || (got == nil) != (want == 0) {
			t.Errorf("%s means %v: %v", flag, got, err)
		}
	}
}
