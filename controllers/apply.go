package controllers

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/controllers/desired"
)

// named is what every generated apply configuration can tell of itself.
type named interface {
	runtime.ApplyConfiguration
	GetName() *string
	GetKind() *string
	GetAPIVersion() *string
}

// apply makes an object what it should be. Fields that others set stay; an
// object that is not the node's is refused.
func (r *Reconciler) apply(ctx context.Context, s *scope, object named) error {
	kind := schema.FromAPIVersionAndKind(*object.GetAPIVersion(), *object.GetKind())
	return r.applyAs(ctx, s, kind, *object.GetName(), object)
}

// applyUnstructured is apply for a kind that client-go does not know.
func (r *Reconciler) applyUnstructured(ctx context.Context, s *scope, object *unstructured.Unstructured) error {
	return r.applyAs(ctx, s, object.GroupVersionKind(), object.GetName(), client.ApplyConfigurationFromUnstructured(object))
}

func (r *Reconciler) applyAs(ctx context.Context, s *scope, kind schema.GroupVersionKind, name string, object runtime.ApplyConfiguration) error {
	live, err := r.lookUp(ctx, s, kind, name)
	if err == nil && live == nil && !optional(kind) {
		// That there is none must not rest on a cache that may be behind.
		live, err = r.lookUpIn(ctx, s, r.Live, kind, name)
	}
	if err != nil {
		return err
	}
	if live != nil && !s.mayTake(live) {
		return block(ReasonOwnershipConflict, "the %s %s is not this node's; rename the node, or delete the object if nobody needs it", kind.Kind, name)
	}
	if err := r.Client.Apply(ctx, object, client.FieldOwner(FieldOwner), client.ForceOwnership); err != nil {
		applies.WithLabelValues(kind.Kind, "error").Inc()
		return notWritten(kind.Kind, name, err)
	}
	applies.WithLabelValues(kind.Kind, "ok").Inc()
	return nil
}

// notWritten is why an object could not be written. What the API server refuses
// it refuses until somebody changes the spec, a quota or a permission; anything
// else may work at the next attempt.
func notWritten(kind, name string, err error) error {
	if apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsForbidden(err) || apierrors.IsRequestEntityTooLargeError(err) {
		return block(ReasonApplyFailed, "the API server refuses the %s %s: %s", kind, name, excerpt(err.Error()))
	}
	return fmt.Errorf("write the %s %s: %w", kind, name, err)
}

// remove deletes an object of the node's that is no longer asked for. One that
// is somebody else's stays.
func (r *Reconciler) remove(ctx context.Context, s *scope, kind schema.GroupVersionKind, name string) error {
	live, err := r.lookUp(ctx, s, kind, name)
	if err != nil {
		return err
	}
	if live == nil || !metav1.IsControlledBy(live, s.DownstreamNode) {
		return nil
	}
	return r.delete(ctx, live, client.PropagationPolicy(metav1.DeletePropagationBackground))
}

func (r *Reconciler) delete(ctx context.Context, object client.Object, options ...client.DeleteOption) error {
	uid := object.GetUID()
	options = append(options, client.Preconditions{UID: &uid})
	if err := r.Client.Delete(ctx, object, options...); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete %s: %w", object.GetName(), err)
	}
	return nil
}

// lookUp gets the metadata of an object, or nil where there is none, from the
// cache if it is of a kind that is watched.
func (r *Reconciler) lookUp(ctx context.Context, s *scope, kind schema.GroupVersionKind, name string) (*metav1.PartialObjectMetadata, error) {
	if optional(kind) {
		return r.lookUpIn(ctx, s, r.Live, kind, name)
	}
	return r.lookUpIn(ctx, s, r.Client, kind, name)
}

func (r *Reconciler) lookUpIn(ctx context.Context, s *scope, reader client.Reader, kind schema.GroupVersionKind, name string) (*metav1.PartialObjectMetadata, error) {
	found := &metav1.PartialObjectMetadata{}
	found.SetGroupVersionKind(kind)
	err := reader.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: name}, found)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("get the %s %s: %w", kind.Kind, name, err)
	}
	return found, nil
}

// mayTake says whether an object is the node's: it controls it, or nobody does
// and the labels say so, as after the node was deleted and its objects were
// kept.
func (s *scope) mayTake(live *metav1.PartialObjectMetadata) bool {
	if metav1.GetControllerOf(live) != nil {
		return metav1.IsControlledBy(live, s.DownstreamNode)
	}
	return s.Ours(live)
}

// optional says whether a cluster may not know a kind.
func optional(kind schema.GroupVersionKind) bool {
	return kind == desired.HTTPRouteKind || kind == desired.ServiceMonitorKind
}

// knows says whether the cluster knows a kind.
func (r *Reconciler) knows(kind schema.GroupVersionKind) (bool, error) {
	_, err := r.Client.RESTMapper().RESTMapping(kind.GroupKind(), kind.Version)
	switch {
	case meta.IsNoMatchError(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("ask whether the cluster knows %s: %w", kind.Kind, err)
	}
	return true, nil
}
