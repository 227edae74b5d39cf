package controllers_test

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/driveshare/downstream-node/controllers/desired"
)

// install adds a kind to the API server, with a schema that accepts everything.
func install(t *testing.T, group, version, kind string) {
	t.Helper()
	plural := strings.ToLower(kind) + "s"
	crd := &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{
			Name:        plural + "." + group,
			Annotations: map[string]string{"api-approved.kubernetes.io": "unapproved, a test's"},
		},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: group,
			Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Kind: kind, ListKind: kind + "List", Plural: plural, Singular: strings.ToLower(kind)},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: version, Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
					Type: "object", XPreserveUnknownFields: new(true),
				}},
			}},
		},
	}
	if _, err := envtest.InstallCRDs(config, envtest.CRDInstallOptions{CRDs: []*apiextensionsv1.CustomResourceDefinition{crd}}); err != nil {
		t.Fatal(err)
	}
}

// TestOptionalKinds runs a node before and after the optional kinds are installed on
// the cluster. No other test uses these kinds.
func TestOptionalKinds(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "api: {gateway: {parentRefs: [{name: public}]}}\nmonitoring: {serviceMonitor: {enabled: true, labels: {release: p}}}")
	f.settle()
	f.wantCondition("Degraded", "True", "KindUnknown")
	f.wantCondition("Ready", "False", "Migrating")
	f.finish(f.jobOf("migration"), true)
	f.settle()
	f.deployment("node-api") // the node runs without the optional objects
	names := map[schema.GroupVersionKind]string{desired.HTTPRouteKind: "node-api", desired.ServiceMonitorKind: "node", desired.PodMonitorKind: "node"}
	for kind := range names {
		install(t, kind.Group, kind.Version, kind.Kind)
	}
	f.bringUpAgain()
	f.wantCondition("Degraded", "False", "AsExpected")
	want := func(wanted ...schema.GroupVersionKind) {
		t.Helper()
		for kind, name := range names {
			object := &unstructured.Unstructured{}
			object.SetGroupVersionKind(kind)
			found := f.find(object, name)
			if found != slices.Contains(wanted, kind) {
				t.Errorf("there is a %s: %t", kind.Kind, found)
			} else if found && !metav1.IsControlledBy(object, f.node()) {
				t.Errorf("the %s is not the node's", kind.Kind)
			}
		}
	}
	patch := func(spec string) {
		t.Helper()
		f.ok(f.Patch(t.Context(), f.node(), client.RawPatch("application/merge-patch+json", []byte(`{"spec":`+spec+`}`))))
		f.settle()
	}
	want(desired.HTTPRouteKind, desired.ServiceMonitorKind)
	patch(`{"api":{"gateway":null},"monitoring":{"serviceMonitor":{"enabled":false},"podMonitor":{"enabled":true}}}`)
	want(desired.PodMonitorKind)
	if f.find(&corev1.Service{}, "node-metrics") {
		t.Error("the Service for the ServiceMonitor still exists")
	}
	patch(`{"monitoring":null}`)
	want()
}

// bringUpAgain makes the pods of the last rollout available.
func (f *farm) bringUpAgain() {
	f.t.Helper()
	f.settle()
	f.run("node-api")
	f.run("node-workers")
	f.settle()
}
