package main

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

// TestImageOfThePod holds that the operator finds its own image among those of
// whatever else was put into its pod.
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
		"gone":  {"", "there is no --image"},
	} {
		image, err := imageOf(t.Context(), c, client.ObjectKey{Namespace: "storage", Name: name})
		if image != tt.image || (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %q, %v", name, image, err)
		}
	}
}

// TestImageUnknown holds that an operator outside a pod asks for the flag.
func TestImageUnknown(t *testing.T) {
	t.Setenv("POD_NAME", "")
	if _, err := findImage(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "--image") {
		t.Error(err)
	}
}
