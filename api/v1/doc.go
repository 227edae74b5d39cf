// Package v1 defines the DownstreamNode. A platform team uses this kind to run a
// proof-of-storage node on Kubernetes.
//
// The comments on the fields are the reference documentation. `kubectl explain` shows
// the same text. controller-gen turns the markers into a schema with the defaults and
// the validation, so the operator needs no webhook. A test checks that every string,
// list and map of the schema has a limit. Pod templates have no schema; the operator
// checks them.
//
// The CustomResourceDefinition also serves v1alpha1, which has the same schema and is
// deprecated. hack/generate makes it from this package.
//
// The package does not depend on the operator's code.
//
// +kubebuilder:object:generate=true
// +groupName=downstream.driveshare.org
package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

//go:generate go run sigs.k8s.io/controller-tools/cmd/controller-gen@v0.23.0 object paths=.
//go:generate go run sigs.k8s.io/controller-tools/cmd/controller-gen@v0.23.0 crd paths=. output:crd:dir=../../config/crd/bases

// GroupVersion is the group and version of the types of this package.
var GroupVersion = schema.GroupVersion{Group: "downstream.driveshare.org", Version: "v1"}

// AddToScheme registers the types of this package with a scheme.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &DownstreamNode{}, &DownstreamNodeList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
