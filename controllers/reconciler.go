package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/driveshare/downstream-node/api/v1alpha1"
	"github.com/driveshare/downstream-node/controllers/desired"
)

// FieldOwner is the name under which the operator sets fields.
const FieldOwner = "downstream-operator"

// How soon a node is looked at again when nothing tells of a change: for the
// backlog, and for what is not watched.
const (
	usualInterval   = 30 * time.Second
	scalingInterval = 10 * time.Second
	recordInterval  = 100 * time.Millisecond
)

// Reconciler brings nodes to what they should be.
type Reconciler struct {
	// Client reads from a cache, and writes.
	Client client.Client
	// Live reads past the cache, where a decision must not rest on old news.
	Live client.Reader
	// Recorder takes events.
	Recorder events.EventRecorder
	// DefaultImage is for nodes that name none.
	DefaultImage string
	// Backlog asks a Redis how much work waits.
	Backlog BacklogReader
	// Now is the clock; time.Now where nil.
	Now func() time.Time

	history history
}

// phase is a part of a reconcile.
type phase func(*Reconciler, context.Context, *scope) error

// phases is a reconcile, in order. Edges come first, for they depend on
// nothing; after that each phase needs what the one before it found.
var phases = []phase{
	(*Reconciler).ensureEdges,
	(*Reconciler).ensureDatabases,
	(*Reconciler).ensureKey,
	(*Reconciler).readInputs,
	(*Reconciler).ensureSchema,
	(*Reconciler).ensureWhitelist,
	(*Reconciler).askBacklog,
	(*Reconciler).ensureAPI,
	(*Reconciler).ensureWorkers,
}

// +kubebuilder:rbac:groups=downstream.driveshare.org,resources=downstreamnodes,verbs=get;list;watch
// +kubebuilder:rbac:groups=downstream.driveshare.org,resources=downstreamnodes/status,verbs=get;patch
// +kubebuilder:rbac:groups=downstream.driveshare.org,resources=downstreamnodes/finalizers,verbs=update
// +kubebuilder:rbac:groups=apps,resources=deployments;statefulsets,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=batch,resources=jobs,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=core,resources=services;configmaps,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=core,resources=pods,verbs=list
// +kubebuilder:rbac:groups=core,resources=secrets,verbs=get;list;watch;create
// +kubebuilder:rbac:groups=networking.k8s.io,resources=ingresses;networkpolicies,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=autoscaling,resources=horizontalpodautoscalers,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=httproutes,verbs=get;create;patch;delete
// +kubebuilder:rbac:groups=monitoring.coreos.com,resources=servicemonitors,verbs=get;create;patch;delete
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconcile brings one node to what it should be, as far as it gets.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	node := &v1alpha1.DownstreamNode{}
	if err := r.Client.Get(ctx, req.NamespacedName, node); err != nil {
		if apierrors.IsNotFound(err) {
			r.forget(req.NamespacedName)
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, fmt.Errorf("get the node: %w", err)
	}
	if !node.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil // the garbage collector does the rest
	}
	s := newScope(node, r.DefaultImage)
	result, err := r.outcome(s, r.runPhases(ctx, s))
	if observed := r.observe(ctx, s); observed != nil {
		err = errors.Join(err, observed)
	}
	if written := r.writeStatus(ctx, s); written != nil {
		err = errors.Join(err, written)
	}
	if apierrors.IsConflict(err) {
		// The cache was behind: the next time it is not.
		log.FromContext(ctx).V(1).Info("the node has changed meanwhile", "error", err.Error())
		return ctrl.Result{RequeueAfter: recordInterval}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	return result, nil
}

// pausedPhases is what is left of a reconcile of a paused node: nothing that
// writes.
var pausedPhases = []phase{
	(*Reconciler).readInputs,
	(*Reconciler).askBacklog,
}

func (r *Reconciler) runPhases(ctx context.Context, s *scope) error {
	phases := phases
	if s.Spec.Paused {
		phases = pausedPhases
	}
	for _, phase := range phases {
		if err := phase(r, ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// outcome sorts what ended the phases: what somebody has to change is part of
// the status, and trying again at once would not help; the rest is an error.
func (r *Reconciler) outcome(s *scope, err error) (ctrl.Result, error) {
	result := ctrl.Result{RequeueAfter: usualInterval}
	if s.Spec.Workers.Autoscaling != nil {
		result.RequeueAfter = scalingInterval
	}
	var stop *blocked
	switch {
	case errors.Is(err, errRecordFirst):
		return ctrl.Result{RequeueAfter: recordInterval}, nil
	case errors.As(err, &stop):
		s.facts.blocked = stop
		return result, nil
	}
	return result, err
}

// now is the time of the reconciler's clock.
func (r *Reconciler) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

// scope is one reconcile of one node.
type scope struct {
	*desired.Node
	// status is what the status will be.
	status v1alpha1.DownstreamNodeStatus
	facts  facts
	// notes are events to send once the status is written.
	notes []note
}

func newScope(node *v1alpha1.DownstreamNode, image string) *scope {
	s := &scope{
		Node:   &desired.Node{DownstreamNode: node, DefaultImage: image},
		status: *node.Status.DeepCopy(),
		facts:  facts{paused: node.Spec.Paused},
	}
	s.status.Backlog = nil // unknown until Redis has told it
	return s
}

// blocked is why the phases cannot go on until somebody, or something else on
// the cluster, changes what the message names.
type blocked struct{ reason, message string }

func (b *blocked) Error() string { return b.reason + ": " + b.message }

func block(reason, format string, args ...any) error {
	return &blocked{reason, fmt.Sprintf(format, args...)}
}

// errRecordFirst ends the phases because what was done must be in the status
// before anything is built on it.
var errRecordFirst = errors.New("the status has to be written first")
