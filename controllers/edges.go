package controllers

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/driveshare/downstream-node/controllers/desired"
)

// The kinds that the operator makes.
var (
	statefulSetKind   = appsv1.SchemeGroupVersion.WithKind("StatefulSet")
	serviceKind       = corev1.SchemeGroupVersion.WithKind("Service")
	configMapKind     = corev1.SchemeGroupVersion.WithKind("ConfigMap")
	ingressKind       = networkingv1.SchemeGroupVersion.WithKind("Ingress")
	networkPolicyKind = networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy")
	budgetKind        = policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget")
	autoscalerKind    = autoscalingv2.SchemeGroupVersion.WithKind("HorizontalPodAutoscaler")
)

// ensureEdges makes the ways in: for farmers, for readers of metrics, and none
// besides.
func (r *Reconciler) ensureEdges(ctx context.Context, s *scope) error {
	api, policies := s.Spec.API, s.Spec.NetworkPolicy.Enabled == nil || *s.Spec.NetworkPolicy.Enabled
	monitored := s.Spec.Monitoring.ServiceMonitor.Enabled
	edges := []struct {
		wanted bool
		kind   schema.GroupVersionKind
		name   string
		build  func() named
	}{
		{true, serviceKind, s.ObjectName(desired.API), func() named { return s.Service() }},
		{api.Ingress != nil, ingressKind, s.ObjectName(desired.API), func() named { return s.Ingress() }},
		{policies, networkPolicyKind, s.ObjectName(desired.API), func() named { return s.APINetworkPolicy() }},
		{policies, networkPolicyKind, s.ObjectName(desired.Workers), func() named { return s.WorkersNetworkPolicy() }},
		{policies, networkPolicyKind, s.ObjectName("jobs"), func() named { return s.JobsNetworkPolicy() }},
		{monitored, serviceKind, s.ObjectName("metrics"), func() named { return s.MetricsService() }},
	}
	for _, e := range edges {
		if err := r.ensure(ctx, s, e.wanted, e.kind, e.name, e.build); err != nil {
			return err
		}
	}
	if err := r.ensureOptional(ctx, s, api.Gateway != nil, desired.HTTPRouteKind, s.ObjectName(desired.API), s.HTTPRoute); err != nil {
		return err
	}
	return r.ensureOptional(ctx, s, monitored, desired.ServiceMonitorKind, s.Name, s.ServiceMonitor)
}

// ensure makes an object where it is wanted, and removes it where it is not.
func (r *Reconciler) ensure(ctx context.Context, s *scope, wanted bool, kind schema.GroupVersionKind, name string, build func() named) error {
	if wanted {
		return r.apply(ctx, s, build())
	}
	return r.remove(ctx, s, kind, name)
}

// ensureOptional is ensure for a kind that the cluster may not know. Where it
// is wanted all the same, the status says so, and the node runs without.
func (r *Reconciler) ensureOptional(ctx context.Context, s *scope, wanted bool, kind schema.GroupVersionKind, name string, build func() *unstructured.Unstructured) error {
	known, err := r.knows(kind)
	switch {
	case err != nil:
		return err
	case !known && wanted:
		s.facts.unknownKinds = append(s.facts.unknownKinds, kind.Kind)
		return nil
	case !known:
		return nil
	case wanted:
		return r.applyUnstructured(ctx, s, build())
	}
	return r.remove(ctx, s, kind, name)
}
