package controllers

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/controllers/desired"
)

// object is the part of an object that the operator sets.
type object = runtime.ApplyConfiguration

// entry is an object that a phase applies if wanted is true. Otherwise the phase
// removes the object.
type entry struct {
	wanted bool
	kind   schema.GroupVersionKind
	name   string
	build  func() object
}

// ensure applies or removes objects. If an optional kind is wanted but the
// cluster does not know it, the node runs without the object and the status
// reports the kind.
func (r *Reconciler) ensure(ctx context.Context, s *scope, entries ...entry) error {
	for _, e := range entries {
		known, err := r.knows(e.kind)
		switch {
		case err != nil:
		case !known && e.wanted:
			s.facts.unknownKinds = append(s.facts.unknownKinds, e.kind.Kind)
		case !known:
		case e.wanted:
			err = r.apply(ctx, s, e.kind, e.name, e.build())
		default:
			err = r.remove(ctx, s, e.kind, e.name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// apply writes the fields that the operator sets in an object. It keeps the fields
// that other clients set. It returns a blocked error if the object does not belong
// to the node.
func (r *Reconciler) apply(ctx context.Context, s *scope, kind schema.GroupVersionKind, name string, object object) error {
	live, err := r.lookUp(ctx, s, kind, name)
	if err == nil && live == nil && !optional(kind) {
		// The cache may be stale, so read from the API server.
		live, err = metadata(ctx, r.Live, s, kind, name)
	}
	if err != nil {
		return err
	}
	if live != nil && !s.belongs(live) {
		return block(ReasonOwnershipConflict, "the %s %s does not belong to this node; rename the node, or delete the object if it is not in use", kind.Kind, name)
	}
	if err := r.Client.Apply(ctx, object, client.FieldOwner(FieldOwner), client.ForceOwnership); err != nil {
		applies.WithLabelValues(kind.Kind, "error").Inc()
		return writeError(kind.Kind, name, err)
	}
	applies.WithLabelValues(kind.Kind, "ok").Inc()
	return nil
}

// writeError returns a blocked error if the API server refuses the object. Then a
// retry helps only after the spec, a quota or a permission has changed. After any
// other error, a retry may succeed.
func writeError(kind, name string, err error) error {
	// The API server refuses an apply with a repeated name by an error without a reason.
	repeated := strings.Contains(err.Error(), "failed to create typed patch object")
	if repeated || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsForbidden(err) || apierrors.IsRequestEntityTooLargeError(err) {
		return block(ReasonApplyFailed, "the API server refuses the %s %s: %s", kind, name, excerpt(err.Error()))
	}
	return fmt.Errorf("write the %s %s: %w", kind, name, err)
}

// remove deletes an object if the node controls it.
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

// lookUp reads an object's metadata, from the cache if the operator watches the
// kind. It returns nil if the object does not exist.
func (r *Reconciler) lookUp(ctx context.Context, s *scope, kind schema.GroupVersionKind, name string) (*metav1.PartialObjectMetadata, error) {
	if optional(kind) {
		return metadata(ctx, r.Live, s, kind, name)
	}
	return metadata(ctx, r.Client, s, kind, name)
}

func metadata(ctx context.Context, reader client.Reader, s *scope, kind schema.GroupVersionKind, name string) (*metav1.PartialObjectMetadata, error) {
	into := &metav1.PartialObjectMetadata{}
	into.SetGroupVersionKind(kind)
	return find(ctx, reader, s, kind.Kind, name, into)
}

// find reads an object in the node's namespace. It returns nil if the object
// does not exist.
func find[T client.Object](ctx context.Context, reader client.Reader, s *scope, kind, name string, into T) (T, error) {
	var none T
	err := reader.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: name}, into)
	switch {
	case apierrors.IsNotFound(err):
		return none, nil
	case err != nil:
		return none, fmt.Errorf("get the %s %s: %w", kind, name, err)
	}
	return into, nil
}

// belongs reports whether an object belongs to the node: either the node controls
// the object, or the object has no controller and has the node's labels. An object
// without a controller can be left from a deleted node with the same name.
func (s *scope) belongs(live client.Object) bool {
	if metav1.GetControllerOf(live) != nil {
		return metav1.IsControlledBy(live, s.DownstreamNode)
	}
	return s.Ours(live)
}

// optional reports whether a cluster has the kind only after an administrator has
// installed it.
func optional(kind schema.GroupVersionKind) bool {
	return kind == desired.HTTPRouteKind || kind == desired.ServiceMonitorKind || kind == desired.PodMonitorKind
}

// knows reports whether the cluster knows a kind.
func (r *Reconciler) knows(kind schema.GroupVersionKind) (bool, error) {
	if !optional(kind) {
		return true, nil
	}
	_, err := r.Client.RESTMapper().RESTMapping(kind.GroupKind(), kind.Version)
	switch {
	case meta.IsNoMatchError(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("ask whether the cluster knows %s: %w", kind.Kind, err)
	}
	return true, nil
}
