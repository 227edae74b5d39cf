// Package v1alpha1 is the DownstreamNode: what a platform team writes down to
// have a proof-of-storage node run on Kubernetes.
//
// The comments on the fields are the documentation that `kubectl explain` and
// the reference show. Defaults and validation are in the schema that is
// generated from the markers, so that they hold without a webhook and whoever
// writes the object; a test walks the schema to see that no string, list or map
// of ours is without a bound.
//
// The package knows nothing of how the operator meets what is asked for.
//
// +kubebuilder:object:generate=true
// +groupName=downstream.driveshare.org
package v1alpha1

//go:generate go run sigs.k8s.io/controller-tools/cmd/controller-gen@v0.23.0 object paths=.
//go:generate go run sigs.k8s.io/controller-tools/cmd/controller-gen@v0.23.0 crd paths=. output:crd:dir=../../config/crd/bases
