package controllers

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/driveshare/downstream-node/api/v1alpha1"
	"github.com/driveshare/downstream-node/controllers/desired"
)

// SetupWithManager has a manager run the reconciler. Of everything but the
// nodes only the metadata is watched and cached: it tells that something has
// changed and whose it is, and keeps the Secrets of a cluster out of the
// operator's memory.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, options controller.Options) error {
	b := ctrl.NewControllerManagedBy(mgr).
		WithOptions(options).
		// The status, which the operator writes itself, is no reason to reconcile.
		For(&v1alpha1.DownstreamNode{}, builder.WithPredicates(predicate.GenerationChangedPredicate{}))
	for _, owned := range []client.Object{
		&appsv1.Deployment{}, &appsv1.StatefulSet{}, &batchv1.Job{}, &corev1.Service{}, &corev1.ConfigMap{},
		&networkingv1.Ingress{}, &networkingv1.NetworkPolicy{}, &policyv1.PodDisruptionBudget{}, &autoscalingv2.HorizontalPodAutoscaler{},
	} {
		b = b.Owns(owned, builder.OnlyMetadata)
	}
	return b.
		WatchesMetadata(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.referring(secretsOf))).
		WatchesMetadata(&corev1.ConfigMap{}, handler.EnqueueRequestsFromMapFunc(r.referring(configMapsOf))).
		Complete(r)
}

// referring finds the nodes that refer to an object by name.
func (r *Reconciler) referring(names func(*desired.Node) []string) handler.MapFunc {
	return func(ctx context.Context, object client.Object) []reconcile.Request {
		nodes := &v1alpha1.DownstreamNodeList{}
		if err := r.Client.List(ctx, nodes, client.InNamespace(object.GetNamespace())); err != nil {
			log.FromContext(ctx).Error(err, "cannot tell which nodes refer to an object", "object", client.ObjectKeyFromObject(object))
			return nil
		}
		var requests []reconcile.Request
		for i := range nodes.Items {
			node := &nodes.Items[i]
			for _, name := range names(&desired.Node{DownstreamNode: node}) {
				if name == object.GetName() {
					requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(node)})
					break
				}
			}
		}
		return requests
	}
}

func secretsOf(n *desired.Node) []string {
	key, _ := n.KeySecret()
	dsn, _ := n.DSNSecret()
	redis, _ := n.RedisSecret()
	return []string{key, dsn, redis}
}

func configMapsOf(n *desired.Node) []string {
	if n.Spec.Whitelist == nil {
		return nil
	}
	return []string{n.Spec.Whitelist.ConfigMapRef.Name}
}
