package controllers_test

import (
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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
	install(t, desired.HTTPRouteKind.Group, desired.HTTPRouteKind.Version, desired.HTTPRouteKind.Kind)
	install(t, desired.ServiceMonitorKind.Group, desired.ServiceMonitorKind.Version, desired.ServiceMonitorKind.Kind)
	f.bringUpAgain()
	f.wantCondition("Degraded", "False", "AsExpected")
	for _, want := range []struct {
		object *unstructured.Unstructured
		name   string
	}{{object(desired.HTTPRouteKind.GroupVersion().String(), "HTTPRoute"), "node-api"}, {object(desired.ServiceMonitorKind.GroupVersion().String(), "ServiceMonitor"), "node"}} {
		f.get(want.object, want.name)
		if !metav1.IsControlledBy(want.object, f.node()) {
			t.Errorf("the %s is not the node's", want.object.GetKind())
		}
	}
	f.ok(f.Patch(t.Context(), f.node(), client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"api":{"gateway":null},"monitoring":{"serviceMonitor":{"enabled":false}}}}`))))
	f.settle()
	if f.find(object(desired.HTTPRouteKind.GroupVersion().String(), "HTTPRoute"), "node-api") || f.find(object(desired.ServiceMonitorKind.GroupVersion().String(), "ServiceMonitor"), "node") {
		t.Error("an object that is no longer wanted still exists")
	}
}

func object(apiVersion, kind string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion(apiVersion)
	u.SetKind(kind)
	return u
}

// bringUpAgain makes the pods of the last rollout available.
func (f *farm) bringUpAgain() {
	f.t.Helper()
	f.settle()
	f.run("node-api")
	f.run("node-workers")
	f.settle()
}
