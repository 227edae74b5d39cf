package controllers_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/controllers/internal/controlplane"
)

// TestTwoOperators runs two operators with different images on one node. The first one
// manages the node until its claim expires.
func TestTwoOperators(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.bringUp()
	first, second := f.operator, f.newOperator(f.WithWatch)
	second.Identity, second.DefaultImage = "elsewhere/operator", "example.org/other"
	image := func(operator string, want string) {
		t.Helper()
		if got := f.jobOf("migration").Spec.Template.Spec.Containers[0].Image; got != want {
			t.Errorf("the image is %s, want %s", got, want)
		}
		if got := f.node().Status.Operator; got == nil || got.Name != operator {
			t.Errorf("the node is claimed by %+v, want %s", got, operator)
		}
	}
	f.operator = second
	before := f.versions()
	for range 3 {
		f.ok(f.reconcile())
	}
	if f.versions() != before {
		t.Error("the second operator changed objects of the first")
	}
	f.edit(func(s *v1.DownstreamNodeSpec) { s.Contracts.TokensPerIP = 6 })
	f.settle()
	image("system/operator", operatorImage)

	// While the first operator runs, it renews its claim.
	for range 10 {
		f.clock = f.clock.Add(4 * time.Minute)
		f.operator = first
		f.ok(f.reconcile())
		f.operator = second
		f.ok(f.reconcile())
	}
	f.settle()
	image("system/operator", operatorImage)

	// The first operator has ended.
	f.clock = f.clock.Add(14 * time.Minute)
	f.settle()
	f.clock = f.clock.Add(2 * time.Minute)
	f.settle()
	image("elsewhere/operator", "example.org/other")

	f.operator = first
	before = f.versions()
	f.ok(f.reconcile())
	if f.versions() != before {
		t.Error("the operator that came back changed objects of the other")
	}
}

// TestClaimComesBeforeEveryObject checks that an operator claims a new node before it
// creates an object, and that a claim with a stale version fails.
func TestClaimComesBeforeEveryObject(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.ok(f.reconcile())
	if got := f.shape(); len(got) != 2 { // the node and the Secret
		t.Errorf("the objects after the claim are %v", got)
	}
	if got := f.node().Status.Operator; got == nil || got.Name != "system/operator" {
		t.Errorf("the node is claimed by %+v", got)
	}
	f.settle()
}

// TestClaimWithAnOlderCRD brings up a node on an API server whose CRD has no claims and no
// rotations. That API server refuses a status with them, so the operator must leave them
// out.
func TestClaimWithAnOlderCRD(t *testing.T) {
	t.Parallel()
	server, err := controlplane.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	c, err := client.NewWithWatch(server.Config, client.Options{Scheme: newScheme()})
	if err != nil {
		t.Fatal(err)
	}
	f := &farm{
		cluster: &cluster{WithWatch: c, namespace: "older"}, t: t, recorder: events.NewFakeRecorder(1000),
		clock: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), templates: map[string]string{},
	}
	f.operator = f.newOperator(c)
	f.ok(c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.namespace}}))
	f.create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "backends"},
		StringData: map[string]string{"dsn": "u:p@tcp(mysql)/d", "url": "redis://redis"},
	})

	definition := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}}
	f.ok(c.Get(t.Context(), client.ObjectKey{Name: "downstreamnodes.downstream.driveshare.org"}, definition))
	versions, _, err := unstructured.NestedSlice(definition.Object, "spec", "versions")
	f.ok(err)
	for _, field := range []string{"operator", "heartbeatKeys"} {
		unstructured.RemoveNestedField(versions[0].(map[string]any), "schema", "openAPIV3Schema", "properties", "status", "properties", field)
	}
	f.ok(unstructured.SetNestedSlice(definition.Object, versions, "spec", "versions"))
	f.ok(c.Update(t.Context(), definition))
	f.createNode("")
	eventually(t, "the older CRD", func() bool {
		status := &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"operator": map[string]any{"name": "x", "renewTime": "2026-01-01T00:00:00Z"}}}}
		status.SetGroupVersionKind(v1.GroupVersion.WithKind("DownstreamNode"))
		status.SetName("node")
		status.SetNamespace(f.namespace)
		return c.Status().Apply(t.Context(), client.ApplyConfigurationFromUnstructured(status), client.FieldOwner("probe"), client.DryRunAll) != nil
	})

	f.bringUp()
	f.wantCondition("Available", "True", "FarmersCanFarm")
	if got := f.node().Status.Operator; got != nil {
		t.Errorf("the node is claimed by %+v", got)
	}
}
