package controllers

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1alpha1"
)

// ownConditions are the types of conditions that the operator sets.
var ownConditions = []string{
	v1alpha1.Ready, v1alpha1.Progressing, v1alpha1.Degraded, v1alpha1.SchemaMigrated, v1alpha1.APIAvailable,
	v1alpha1.WorkersAvailable, v1alpha1.HeartbeatKeyAvailable, v1alpha1.Paused,
}

// writeStatus writes the status if it has changed, and then tells of what has.
// It is applied, so that conditions of others stay, and to the version that
// was read, so that nothing newer is undone.
func (r *Reconciler) writeStatus(ctx context.Context, s *scope) error {
	observeNode(s)
	before := s.Status
	if !equality.Semantic.DeepEqual(before, s.status) {
		object, err := statusObject(s)
		if err != nil {
			return err
		}
		err = r.Client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner(FieldOwner), client.ForceOwnership)
		if apierrors.IsNotFound(err) {
			return nil // the node is gone
		}
		if err != nil {
			return fmt.Errorf("write the status: %w", err)
		}
	}
	for _, n := range s.notes {
		r.send(s, n)
	}
	for _, n := range transitions(before.Conditions, s.status.Conditions) {
		r.send(s, n)
	}
	return nil
}

// statusObject is the status to apply: what the operator knows, and nothing of
// what others said.
func statusObject(s *scope) (*unstructured.Unstructured, error) {
	own := *s.status.DeepCopy()
	own.Conditions = slices.DeleteFunc(own.Conditions, func(c metav1.Condition) bool { return !slices.Contains(ownConditions, c.Type) })
	status, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&own)
	if err != nil {
		return nil, fmt.Errorf("convert the status: %w", err)
	}
	object := &unstructured.Unstructured{Object: map[string]any{"status": status}}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("DownstreamNode"))
	object.SetName(s.Name)
	object.SetNamespace(s.Namespace)
	object.SetUID(s.UID)
	object.SetResourceVersion(s.ResourceVersion)
	return object, nil
}

// note is an event to be.
type note struct{ severity, reason, message string }

// note keeps an event for when the status is written: an attempt that fails
// and is made again tells of itself once.
func (s *scope) note(severity, reason, format string, args ...any) {
	s.notes = append(s.notes, note{severity, reason, fmt.Sprintf(format, args...)})
}

// transitions are the events of a change of conditions: one for each that now
// says something else, and none for one that says the same again.
func transitions(before, after []metav1.Condition) []note {
	var notes []note
	for _, condition := range ownConditions {
		old, now := meta.FindStatusCondition(before, condition), meta.FindStatusCondition(after, condition)
		if now == nil || now.Status == metav1.ConditionUnknown || old != nil && old.Status == now.Status && old.Reason == now.Reason {
			continue
		}
		if old == nil && !adverse(*now) && now.Status == metav1.ConditionFalse {
			continue // that a new node is not paused is no news
		}
		severity := corev1.EventTypeNormal
		if adverse(*now) {
			severity = corev1.EventTypeWarning
		}
		notes = append(notes, note{severity, now.Reason, fmt.Sprintf("%s is %s: %s", now.Type, now.Status, now.Message)})
	}
	return notes
}

// adverse says whether a condition is bad news, and not merely that something
// has not happened yet.
func adverse(c metav1.Condition) bool {
	switch c.Type {
	case v1alpha1.Degraded:
		return c.Status == metav1.ConditionTrue
	case v1alpha1.HeartbeatKeyAvailable:
		return c.Status == metav1.ConditionFalse
	case v1alpha1.SchemaMigrated:
		return c.Reason == ReasonMigrationFailed
	case v1alpha1.APIAvailable, v1alpha1.WorkersAvailable:
		return c.Reason == ReasonNoneAvailable
	}
	return false
}

func (r *Reconciler) send(s *scope, n note) {
	// The API server takes no note of more than 1 kB.
	r.Recorder.Eventf(s.DownstreamNode, nil, n.severity, n.reason, "Reconcile", "%s", cut(n.message, 1000))
}

// forget drops what is remembered of a node that is gone.
func (r *Reconciler) forget(node types.NamespacedName) {
	r.history.forget(node)
	forgetNode(node)
}
