package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/controllers/desired"
)

// FieldOwner is the field manager under which the operator applies fields.
const FieldOwner = "downstream-operator"

// The intervals after which the operator reconciles a node again if no watch reports
// a change. They limit the age of the backlog and of objects that the operator does
// not watch.
const (
	usualInterval   = 30 * time.Second
	scalingInterval = 10 * time.Second // also while pods start or fail, which no watch reports
	recordInterval  = 100 * time.Millisecond
	// watchedInterval is for a node that waits for a Secret: a watch reports the Secret.
	watchedInterval = 5 * time.Minute
	// maxBackoff limits the time to the next try after an error.
	maxBackoff = 10 * time.Second
)

// watched lists the reasons of a blocked node that end when a Secret changes.
var watched = []string{ReasonSecretMissing, ReasonDSNInvalid, ReasonKeyMissing, ReasonKeyChanged, ReasonKeyInvalid}

// Reconciler makes the objects of each node match the node's spec.
type Reconciler struct {
	// Client reads from a cache and writes to the API server.
	Client client.Client
	// Live reads from the API server, for decisions that need the current state.
	Live client.Reader
	// Recorder sends events.
	Recorder events.EventRecorder
	// DefaultImage is the image for a node if its spec names no image.
	DefaultImage string
	// OpenShift says whether the cluster is an OpenShift; see OnOpenShift.
	OpenShift bool
	// Backlog reads the backlog from a node's Redis.
	Backlog BacklogReader
	// Readiness asks pods why they are not ready.
	Readiness ReadinessReader
	// Faults reads the faults of a node.
	Faults FaultReader
	// Keys reads the states of a node's heartbeat keys.
	Keys KeyReader
	// Identity distinguishes this operator from operators of other installations. The
	// replicas of one installation have the same identity.
	Identity string
	// Now is the clock; nil means time.Now.
	Now func() time.Time

	history history
	claims  sync.Map // the keys are the nodes that this process has claimed
	faults  sync.Map // what this process last read of each node's faults and keys, a *faultsRead
}

// phase is one step of a reconcile.
type phase func(*Reconciler, context.Context, *scope) error

// phases lists the steps of a reconcile, in order. Edges come first, because they do
// not depend on another phase. Later phases need the results of earlier phases.
var phases = []phase{
	(*Reconciler).ensureEdges,
	(*Reconciler).ensureDatabases,
	(*Reconciler).ensureKey,
	(*Reconciler).readInputs,
	(*Reconciler).checkTemplates,
	(*Reconciler).ensureSchema,
	(*Reconciler).ensureWhitelist,
	(*Reconciler).ensureMaintenance,
	(*Reconciler).readBacklog,
	(*Reconciler).ensureAPI,
	(*Reconciler).ensureWorkers,
	(*Reconciler).ensureBackup,
	(*Reconciler).finishHibernation,
}

// pausedPhases lists the steps for a paused node. These steps change no object.
var pausedPhases = []phase{
	(*Reconciler).readInputs,
	(*Reconciler).readBacklog,
}

// +kubebuilder:rbac:groups=downstream.driveshare.org,resources=downstreamnodes,verbs=get;list;watch
// +kubebuilder:rbac:groups=downstream.driveshare.org,resources=downstreamnodes/status,verbs=get;patch
// +kubebuilder:rbac:groups=downstream.driveshare.org,resources=downstreamnodes/finalizers,verbs=update
// +kubebuilder:rbac:groups=apps,resources=deployments;statefulsets,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=batch,resources=jobs;cronjobs,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=core,resources=services;configmaps,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=core,resources=pods;events,verbs=list
// +kubebuilder:rbac:groups=core,resources=secrets,verbs=get;list;watch;create
// +kubebuilder:rbac:groups=core,resources=persistentvolumeclaims,verbs=get;create
// +kubebuilder:rbac:groups=networking.k8s.io,resources=ingresses;networkpolicies,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=autoscaling,resources=horizontalpodautoscalers,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=httproutes,verbs=get;create;patch;delete
// +kubebuilder:rbac:groups=monitoring.coreos.com,resources=servicemonitors;podmonitors,verbs=get;create;patch;delete
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconcile makes the objects of one node match its spec, as far as possible.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	node := &v1.DownstreamNode{}
	if err := r.Client.Get(ctx, req.NamespacedName, node); err != nil {
		if apierrors.IsNotFound(err) {
			r.forget(req.NamespacedName)
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, fmt.Errorf("get the node: %w", err)
	}
	if !node.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil // the garbage collector deletes the objects
	}
	if err := setDefaults(&node.Spec); err != nil {
		return ctrl.Result{}, err
	}
	s := newScope(node, r.DefaultImage)
	s.OnOpenShift = r.OpenShift
	ours, first := r.claim(ctx, s)
	if !ours {
		r.forget(req.NamespacedName)
		return ctrl.Result{RequeueAfter: claimRenewal}, nil
	}
	err := errRecordFirst
	if !first {
		err = r.runPhases(ctx, s)
	}
	result, err := r.outcome(s, err)
	err = errors.Join(err, r.observe(ctx, s))
	err = errors.Join(err, r.writeStatus(ctx, s))
	if !s.facts.atRest() || s.facts.faults != nil && s.facts.faults.open() != nil {
		result.RequeueAfter = min(result.RequeueAfter, scalingInterval)
	}
	if apierrors.IsConflict(err) {
		// The cache was stale. The next reconcile reads the newer version.
		log.FromContext(ctx).V(1).Info("the node changed during the reconcile", "error", err.Error())
		return ctrl.Result{RequeueAfter: recordInterval}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	return result, nil
}

func (r *Reconciler) runPhases(ctx context.Context, s *scope) error {
	phases := phases
	switch {
	case s.Spec.Paused:
		phases = pausedPhases
	case s.Hibernated:
		phases = hibernatedPhases
	}
	for _, phase := range phases {
		if err := phase(r, ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// outcome turns the result of the phases into the result of the reconcile. A
// blocked error becomes part of the status, because an immediate retry would not
// help. Other errors are returned, so that the reconcile is retried.
func (r *Reconciler) outcome(s *scope, err error) (ctrl.Result, error) {
	result := ctrl.Result{RequeueAfter: usualInterval}
	if s.Spec.Workers.Autoscaling != nil {
		result.RequeueAfter = scalingInterval
	}
	var stop *blocked
	switch {
	case errors.Is(err, errRecordFirst):
		s.facts.unfinished = err.Error()
		return ctrl.Result{RequeueAfter: recordInterval}, nil
	case errors.As(err, &stop):
		s.facts.blocked = stop
		switch {
		case slices.Contains(watched, stop.reason):
			result.RequeueAfter = watchedInterval
		case stop.reason == ReasonApplyFailed:
			result.RequeueAfter = maxBackoff // no watch reports a changed permission or policy
		}
		return result, nil
	case err != nil:
		s.facts.unfinished = err.Error()
	}
	return result, err
}

func (r *Reconciler) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

// scope holds the state of one reconcile of one node.
type scope struct {
	*desired.Node
	// status is the status that will be written.
	status v1.DownstreamNodeStatus
	facts  facts
	// notes are the events to send after the status is written.
	notes []note
}

func newScope(node *v1.DownstreamNode, image string) *scope {
	state := hibernationOf(node)
	s := &scope{
		Node:   &desired.Node{DownstreamNode: node, DefaultImage: image, Hibernated: state == hibernated},
		status: *node.Status.DeepCopy(),
		facts:  facts{paused: node.Spec.Paused, hibernation: state},
	}
	s.status.Backlog = nil // unknown until Redis is read
	return s
}

// blocked is an error that ends a run of the phases. A later run can continue only
// after a person or another controller has solved the problem in the message.
type blocked struct{ reason, message string }

func (b *blocked) Error() string { return b.reason + ": " + b.message }

func block(reason, format string, args ...any) error {
	return &blocked{reason, fmt.Sprintf(format, args...)}
}

// errRecordFirst ends a run of the phases because the status must be written
// before the next phase.
var errRecordFirst = errors.New("the status must be written first")

// SetupWithManager registers the reconciler with a manager. It watches and caches
// complete DownstreamNodes, but only the metadata of objects of other kinds. Metadata
// is enough to detect a change and to find the node of an object. Without the
// complete objects, the operator's memory does not contain the cluster's Secrets.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, options controller.Options) error {
	if options.RateLimiter == nil {
		options.RateLimiter = workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](recordInterval, maxBackoff)
	}
	b := ctrl.NewControllerManagedBy(mgr).
		WithOptions(options).
		// Ignore changes of the status, because the operator makes them. The annotation
		// RestoreAnnotation matters.
		For(&v1.DownstreamNode{}, builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{})))
	for _, kind := range ownedKinds {
		object := &metav1.PartialObjectMetadata{}
		object.SetGroupVersionKind(kind)
		b = b.Owns(object, builder.OnlyMetadata)
	}
	return b.
		WatchesMetadata(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.referring(secretsOf))).
		WatchesMetadata(&corev1.ConfigMap{}, handler.EnqueueRequestsFromMapFunc(r.referring(configMapsOf))).
		Complete(r)
}

// referring returns a function that returns a request for each node whose spec names
// the changed object.
func (r *Reconciler) referring(names func(*desired.Node) []string) handler.MapFunc {
	return func(ctx context.Context, object client.Object) []reconcile.Request {
		nodes := &v1.DownstreamNodeList{}
		if err := r.Client.List(ctx, nodes, client.InNamespace(object.GetNamespace())); err != nil {
			log.FromContext(ctx).Error(err, "cannot find the nodes that refer to an object", "object", client.ObjectKeyFromObject(object))
			return nil
		}
		var requests []reconcile.Request
		for i := range nodes.Items {
			node := &nodes.Items[i]
			if slices.Contains(names(&desired.Node{DownstreamNode: node}), object.GetName()) {
				requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(node)})
			}
		}
		return requests
	}
}

func secretsOf(n *desired.Node) []string {
	var names []string
	for _, f := range slices.Concat(n.MySQLFiles(), n.ReplicaFiles(), n.RedisFiles()) {
		names = append(names, f.Secret)
	}
	for rotation := range n.Rotation() + 1 {
		key, _ := n.KeySecret(rotation)
		names = append(names, key)
	}
	return names
}

func configMapsOf(n *desired.Node) []string {
	if n.Spec.Whitelist == nil {
		return nil
	}
	return []string{n.Spec.Whitelist.ConfigMapRef.Name}
}
