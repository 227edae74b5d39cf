package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/internal/program"
)

// writeStatus writes the status if it has changed, and then sends the events. It
// uses server-side apply, so the conditions that other clients set stay. The apply
// contains the version that the reconcile read, so it never overwrites a newer
// status.
func (r *Reconciler) writeStatus(ctx context.Context, s *scope) error {
	observeNode(s)
	before := s.Status
	if !equality.Semantic.DeepEqual(before, s.status) {
		object, err := statusObject(s)
		if err != nil {
			return err
		}
		err = r.applyStatus(ctx, object)
		// The CRD on the cluster may be older than this operator, without claims or
		// rotations. The API server names one unknown field at a time, in any order.
		for range 2 {
			for _, field := range []string{"operator", "heartbeatKeys"} {
				if err != nil && strings.Contains(err.Error(), ".status."+field+": field not declared in schema") {
					unstructured.RemoveNestedField(object.Object, "status", field)
					err = r.applyStatus(ctx, object)
				}
			}
		}
		if apierrors.IsNotFound(err) {
			return nil // the node was deleted
		}
		if err != nil {
			return fmt.Errorf("write the status: %w", err)
		}
	}
	for _, n := range slices.Concat(s.notes, transitions(before.Conditions, s.status.Conditions)) {
		// The API server rejects a message that is longer than 1 kB.
		r.Recorder.Eventf(s.DownstreamNode, nil, n.severity, n.reason, "Reconcile", "%s", cut(n.message, 1000))
	}
	return nil
}

func (r *Reconciler) applyStatus(ctx context.Context, object *unstructured.Unstructured) error {
	return r.Client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner(FieldOwner), client.ForceOwnership)
}

// statusObject returns the status to apply, without the conditions that other
// clients set.
func statusObject(s *scope) (*unstructured.Unstructured, error) {
	own := *s.status.DeepCopy()
	own.Conditions = slices.DeleteFunc(own.Conditions, func(c metav1.Condition) bool { return !slices.Contains(v1.ConditionTypes, c.Type) })
	status, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&own)
	if err != nil {
		return nil, fmt.Errorf("convert the status: %w", err)
	}
	object := &unstructured.Unstructured{Object: map[string]any{"status": status}}
	object.SetGroupVersionKind(v1.GroupVersion.WithKind("DownstreamNode"))
	object.SetName(s.Name)
	object.SetNamespace(s.Namespace)
	object.SetUID(s.UID)
	object.SetResourceVersion(s.ResourceVersion)
	return object, nil
}

// note is an event that is not sent yet.
type note struct{ severity, reason, message string }

// note stores an event until the status is written, so that a repeated reconcile
// does not send the event twice.
func (s *scope) note(severity, reason, format string, args ...any) {
	s.notes = append(s.notes, note{severity, reason, fmt.Sprintf(format, args...)})
}

// repeated lists the conditions that repeat what Ready, Progressing and Degraded report.
// Their changes cause no events.
var repeated = []string{v1.Available, v1.Reconciling, v1.Stalled}

// transitions returns an event for each condition whose status or reason
// changed.
func transitions(before, after []metav1.Condition) []note {
	var notes []note
	for _, condition := range v1.ConditionTypes {
		old, now := meta.FindStatusCondition(before, condition), meta.FindStatusCondition(after, condition)
		if now == nil || slices.Contains(repeated, condition) || now.Status == metav1.ConditionUnknown {
			continue
		}
		changed := old == nil || old.Status != now.Status || old.Reason != now.Reason
		if condition == v1.Faulty {
			changed = faultChanged(old, *now)
		}
		if !changed {
			continue
		}
		if old == nil && !adverse(*now) && now.Status == metav1.ConditionFalse {
			continue // a new node starts with these conditions
		}
		severity := corev1.EventTypeNormal
		if adverse(*now) {
			severity = corev1.EventTypeWarning
		}
		notes = append(notes, note{severity, now.Reason, fmt.Sprintf("%s is %s: %s", now.Type, now.Status, now.Message)})
	}
	return notes
}

// adverse reports whether a condition shows a failure. A step that has not happened
// yet is not a failure.
func adverse(c metav1.Condition) bool {
	switch c.Type {
	case v1.Degraded, v1.Faulty:
		return c.Status == metav1.ConditionTrue && c.Reason != ReasonMaintenance
	case v1.HeartbeatKeyAvailable, v1.DatabaseAvailable, v1.QueueAvailable:
		return c.Status == metav1.ConditionFalse
	case v1.SchemaMigrated:
		return c.Reason == ReasonMigrationFailed
	case v1.APIAvailable, v1.WorkersAvailable:
		return c.Reason == ReasonNoneAvailable
	}
	return false
}

// The operator's own metrics. controller-runtime exports more metrics.
var (
	ofNode         = []string{"namespace", "name"}
	conditionGauge = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "downstream_operator_node_condition",
		Help: "1 if the condition of the DownstreamNode has the status in the label, else 0.",
	}, append(slices.Clone(ofNode), "condition", "status"))
	workersGauge = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "downstream_operator_node_workers_desired",
		Help: "Number of workers that a DownstreamNode should have.",
	}, ofNode)
	backlogGauge = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "downstream_operator_node_backlog",
		Help: "Verification jobs of a DownstreamNode that wait or are being verified. Absent if Redis cannot be read.",
	}, ofNode)
	backlogErrors = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "downstream_operator_backlog_errors_total",
		Help: "Failed reads of the backlog from the Redis of a DownstreamNode.",
	}, ofNode)
	applies = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "downstream_operator_applies_total",
		Help: "Applied objects, by kind and outcome (ok or error).",
	}, []string{"kind", "outcome"})
)

func init() {
	metrics.Registry.MustRegister(program.BuildInfo("downstream-operator"), conditionGauge, workersGauge, backlogGauge, backlogErrors, applies)
}

// observeNode sets a node's metrics from its status.
func observeNode(s *scope) {
	for _, condition := range v1.ConditionTypes {
		current := metav1.ConditionFalse // Reconciling and Stalled exist only while they are true
		if c := meta.FindStatusCondition(s.status.Conditions, condition); c != nil {
			current = c.Status
		}
		for _, status := range []metav1.ConditionStatus{metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown} {
			value := 0.0
			if current == status {
				value = 1
			}
			conditionGauge.WithLabelValues(s.Namespace, s.Name, condition, string(status)).Set(value)
		}
	}
	workersGauge.WithLabelValues(s.Namespace, s.Name).Set(float64(s.status.Workers.DesiredReplicas))
	if s.status.Backlog == nil {
		backlogGauge.DeleteLabelValues(s.Namespace, s.Name)
	} else {
		backlogGauge.WithLabelValues(s.Namespace, s.Name).Set(float64(*s.status.Backlog))
	}
}

// forget deletes the state and the metrics of a deleted node.
func (r *Reconciler) forget(node types.NamespacedName) {
	r.history.forget(node)
	r.claims.Delete(node)
	r.faults.Delete(node)
	labels := prometheus.Labels{"namespace": node.Namespace, "name": node.Name}
	for _, vec := range []interface {
		DeletePartialMatch(prometheus.Labels) int
	}{conditionGauge, workersGauge, backlogGauge, backlogErrors} {
		vec.DeletePartialMatch(labels)
	}
}
