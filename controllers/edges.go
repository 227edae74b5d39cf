package controllers

import (
	"context"
	"crypto/rand"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/controllers/desired"
)

// The kinds of objects that the operator applies, except the optional kinds.
var (
	deploymentKind    = appsv1.SchemeGroupVersion.WithKind("Deployment")
	statefulSetKind   = appsv1.SchemeGroupVersion.WithKind("StatefulSet")
	jobKind           = batchv1.SchemeGroupVersion.WithKind("Job")
	serviceKind       = corev1.SchemeGroupVersion.WithKind("Service")
	configMapKind     = corev1.SchemeGroupVersion.WithKind("ConfigMap")
	ingressKind       = networkingv1.SchemeGroupVersion.WithKind("Ingress")
	networkPolicyKind = networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy")
	cronJobKind       = batchv1.SchemeGroupVersion.WithKind("CronJob")
	budgetKind        = policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget")
	autoscalerKind    = autoscalingv2.SchemeGroupVersion.WithKind("HorizontalPodAutoscaler")

	ownedKinds = []schema.GroupVersionKind{
		deploymentKind, statefulSetKind, jobKind, cronJobKind, serviceKind, configMapKind, ingressKind, networkPolicyKind, budgetKind, autoscalerKind,
	}
)

// ensureEdges applies the objects through which farmers and metrics readers connect
// to the node. It also applies the network policies that block other connections.
func (r *Reconciler) ensureEdges(ctx context.Context, s *scope) error {
	api, policies := s.Spec.API, s.policies()
	services, pods := s.Spec.Monitoring.ServiceMonitor.Enabled, s.Spec.Monitoring.PodMonitor.Enabled
	return r.ensure(ctx, s, []entry{
		{true, serviceKind, s.ObjectName(desired.API), func() object { return s.Service() }},
		{api.Ingress != nil, ingressKind, s.ObjectName(desired.API), func() object { return s.Ingress() }},
		{policies, networkPolicyKind, s.ObjectName(desired.API), func() object { return s.NetworkPolicy(desired.API) }},
		{policies, networkPolicyKind, s.ObjectName(desired.Workers), func() object { return s.NetworkPolicy(desired.Workers) }},
		{policies, networkPolicyKind, s.ObjectName(desired.Jobs), func() object { return s.NetworkPolicy(desired.Jobs) }},
		{services, serviceKind, s.ObjectName(desired.Metrics), func() object { return s.MetricsService() }},
		{api.Gateway != nil, desired.HTTPRouteKind, s.ObjectName(desired.API), func() object { return client.ApplyConfigurationFromUnstructured(s.HTTPRoute()) }},
		{services, desired.ServiceMonitorKind, s.Name, func() object { return client.ApplyConfigurationFromUnstructured(s.ServiceMonitor()) }},
		{pods, desired.PodMonitorKind, s.Name, func() object { return client.ApplyConfigurationFromUnstructured(s.PodMonitor()) }},
	}...)
}

func (s *scope) policies() bool { return ptr.Deref(s.Spec.NetworkPolicy.Enabled, true) }

// ensureDatabases runs the evaluation databases in the spec. It deletes an evaluation
// database that is no longer in the spec, but keeps its volume claim and passwords.
func (r *Reconciler) ensureDatabases(ctx context.Context, s *scope) error {
	mysql, redis := s.Spec.MySQL.Evaluation != nil, s.Spec.Redis.Evaluation != nil
	if mysql {
		if err := r.ensureCredentials(ctx, s, s.MySQLEvaluationSecret(rand.Text(), rand.Text())); err != nil {
			return err
		}
	}
	if redis {
		if err := r.ensureCredentials(ctx, s, s.RedisEvaluationSecret(rand.Text())); err != nil {
			return err
		}
	}
	mysqlName, redisName, policies := s.ObjectName(desired.MySQL), s.ObjectName(desired.Redis), s.policies()
	return r.ensure(ctx, s, []entry{
		{mysql, serviceKind, mysqlName, func() object { return s.EvaluationService(desired.MySQL) }},
		{mysql && policies, networkPolicyKind, mysqlName, func() object { return s.NetworkPolicy(desired.MySQL) }},
		{mysql, statefulSetKind, mysqlName, func() object { return s.MySQLStatefulSet() }},
		{redis, serviceKind, redisName, func() object { return s.EvaluationService(desired.Redis) }},
		{redis && policies, networkPolicyKind, redisName, func() object { return s.NetworkPolicy(desired.Redis) }},
		{redis, statefulSetKind, redisName, func() object { return s.RedisStatefulSet() }},
	}...)
}

// ensureCredentials creates a database's passwords if they do not exist. It never
// replaces them, because MySQL stores its passwords on the volume.
func (r *Reconciler) ensureCredentials(ctx context.Context, s *scope, secret *corev1.Secret) error {
	live, err := r.secret(ctx, s, secret.Name)
	if err == nil && live == nil {
		live, _, err = r.createSecret(ctx, s, secret)
	}
	if err != nil {
		return err
	}
	if !s.Ours(live) {
		return block(ReasonOwnershipConflict, "the Secret %s does not belong to this node; rename the node, or delete the Secret if it is not in use", secret.Name)
	}
	return nil
}
