package controllers_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/config/crd"
)

const deprecatedVersion = "downstream.driveshare.org/v1alpha1"

// TestDeprecatedVersion applies a manifest of v1alpha1 again and again, as a GitOps tool
// does. Nothing may change, and neither may the node's objects if the manifest then moves
// to v1.
func TestDeprecatedVersion(t *testing.T) {
	t.Parallel()
	f := emptyFarm(t)
	f.createBackends()
	apply := func(apiVersion string) {
		t.Helper()
		u := parse(t, strings.Replace(minimal, "spec:", "spec:\n  heartbeat: {type: Merkle}", 1), "workers: {replicas: 2}")
		u.SetAPIVersion(apiVersion)
		u.SetNamespace(f.namespace)
		f.ok(f.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(u), client.FieldOwner("gitops")))
	}
	current := v1.GroupVersion.String()
	apply(deprecatedVersion)
	f.bringUp()
	before := f.versions()
	for range 5 {
		apply(deprecatedVersion)
		f.ok(f.reconcile())
	}
	if after := f.versions(); after != before {
		t.Errorf("v1alpha1 in a loop: the objects were\n%s\nand are\n%s", before, after)
	}

	generation, objects := f.node().Generation, f.objects()
	for range 2 {
		apply(current)
		f.ok(f.reconcile())
	}
	if after := f.node().Generation; after != generation {
		t.Errorf("the move to %s changed the spec: generation %d became %d", current, generation, after)
	}
	versionsOf := func(objects map[string]metav1.PartialObjectMetadata) map[string]string {
		versions := map[string]string{}
		for name, object := range objects {
			if name != "DownstreamNode/node" { // its managedFields name the version
				versions[name] = object.ResourceVersion
			}
		}
		return versions
	}
	if was, is := versionsOf(objects), versionsOf(f.objects()); !maps.Equal(was, is) {
		t.Errorf("the move to %s changed objects: %v became %v", current, was, is)
	}
}

// TestOwnerOfTheDeprecatedVersion checks that objects which an operator of v1alpha1 made stay
// the node's, without a new rollout.
func TestOwnerOfTheDeprecatedVersion(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.bringUp()
	templates := map[string]string{}
	for _, name := range []string{"node-api", "node-workers"} {
		d := f.deployment(name)
		templates[name] = d.Spec.Template.String()
		d.OwnerReferences[0].APIVersion = deprecatedVersion
		f.ok(f.Update(t.Context(), d, client.FieldOwner("an older operator")))
	}
	f.settle()
	for name, before := range templates {
		d := f.deployment(name)
		if d.Spec.Template.String() != before || len(d.OwnerReferences) != 1 || d.OwnerReferences[0].APIVersion != v1.GroupVersion.String() {
			t.Errorf("%s has the owners %v, and the template\n%s\nwas\n%s", name, d.OwnerReferences, d.Spec.Template.String(), before)
		}
	}
}

// TestServedVersions checks the versions that the CRD promises.
func TestServedVersions(t *testing.T) {
	t.Parallel()
	var definition apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(crd.DownstreamNode, &definition); err != nil {
		t.Fatal(err)
	}
	type version struct {
		name                       string
		served, stored, deprecated bool
	}
	var got []version
	for _, v := range definition.Spec.Versions {
		got = append(got, version{v.Name, v.Served, v.Storage, v.Deprecated && v.DeprecationWarning != nil})
	}
	if want := []version{{"v1", true, true, false}, {"v1alpha1", true, false, true}}; !slices.Equal(got, want) {
		t.Errorf("the CRD has the versions %v, want %v", got, want)
	}
}
