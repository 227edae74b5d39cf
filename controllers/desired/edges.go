package desired

import (
	"fmt"
	"maps"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	autoscalingv2ac "k8s.io/client-go/applyconfigurations/autoscaling/v2"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"
	policyv1ac "k8s.io/client-go/applyconfigurations/policy/v1"

	"github.com/driveshare/downstream-node/api/v1"
)

// The kinds that a cluster has only after an administrator has installed them.
var (
	HTTPRouteKind      = schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"}
	ServiceMonitorKind = schema.GroupVersionKind{Group: "monitoring.coreos.com", Version: "v1", Kind: "ServiceMonitor"}
	PodMonitorKind     = schema.GroupVersionKind{Group: "monitoring.coreos.com", Version: "v1", Kind: "PodMonitor"}
)

// Service receives the requests of farmers.
func (n *Node) Service() *corev1ac.ServiceApplyConfiguration {
	s := n.Spec.API.Service
	spec := corev1ac.ServiceSpec().
		WithType(s.Type).
		WithSelector(n.Selector(API)).
		WithPorts(corev1ac.ServicePort().
			WithName("http").WithPort(s.Port).WithTargetPort(intstr.FromString("farmers")).WithProtocol(corev1.ProtocolTCP))
	if s.LoadBalancerClass != nil {
		spec.WithLoadBalancerClass(*s.LoadBalancerClass)
	}
	if s.ExternalTrafficPolicy != "" {
		spec.WithExternalTrafficPolicy(s.ExternalTrafficPolicy)
	}
	if s.IPFamilyPolicy != nil {
		spec.WithIPFamilyPolicy(*s.IPFamilyPolicy)
	}
	spec.WithIPFamilies(s.IPFamilies...)
	return owned(n, API, corev1ac.Service(n.ObjectName(API), n.Namespace)).WithAnnotations(texts(s.Annotations)).WithSpec(spec)
}

// Ingress routes farmers to the Service. The spec must have an ingress.
func (n *Node) Ingress() *networkingv1ac.IngressApplyConfiguration {
	i := n.Spec.API.Ingress
	backend := networkingv1ac.IngressBackend().WithService(networkingv1ac.IngressServiceBackend().
		WithName(n.ObjectName(API)).WithPort(networkingv1ac.ServiceBackendPort().WithName("http")))
	spec := networkingv1ac.IngressSpec().WithRules(networkingv1ac.IngressRule().
		WithHost(i.Host).
		WithHTTP(networkingv1ac.HTTPIngressRuleValue().WithPaths(networkingv1ac.HTTPIngressPath().
			WithPath("/").WithPathType(networkingv1.PathTypePrefix).WithBackend(backend))))
	if i.ClassName != nil {
		spec.WithIngressClassName(*i.ClassName)
	}
	if i.TLSSecretName != "" {
		spec.WithTLS(networkingv1ac.IngressTLS().WithHosts(i.Host).WithSecretName(i.TLSSecretName))
	}
	return owned(n, API, networkingv1ac.Ingress(n.ObjectName(API), n.Namespace)).WithAnnotations(texts(i.Annotations)).WithSpec(spec)
}

// HTTPRoute routes farmers to the Service. The spec must have a gateway.
func (n *Node) HTTPRoute() *unstructured.Unstructured {
	g := n.Spec.API.Gateway
	var parents, hostnames []any
	for _, ref := range g.ParentRefs {
		parent := map[string]any{"name": ref.Name}
		if ref.Namespace != "" {
			parent["namespace"] = ref.Namespace
		}
		if ref.SectionName != "" {
			parent["sectionName"] = ref.SectionName
		}
		parents = append(parents, parent)
	}
	for _, name := range g.Hostnames {
		hostnames = append(hostnames, name)
	}
	backend := map[string]any{"name": n.ObjectName(API), "port": int64(n.Spec.API.Service.Port)}
	spec := map[string]any{"parentRefs": parents, "rules": []any{map[string]any{"backendRefs": []any{backend}}}}
	if hostnames != nil {
		spec["hostnames"] = hostnames
	}
	return n.foreign(HTTPRouteKind, n.ObjectName(API), n.Labels(API), spec)
}

// APIAutoscaler sets the number of API replicas. The spec must have autoscaling.
func (n *Node) APIAutoscaler() *autoscalingv2ac.HorizontalPodAutoscalerApplyConfiguration {
	a := n.Spec.API.Autoscaling
	return owned(n, API, autoscalingv2ac.HorizontalPodAutoscaler(n.ObjectName(API), n.Namespace)).
		WithSpec(autoscalingv2ac.HorizontalPodAutoscalerSpec().
			WithScaleTargetRef(autoscalingv2ac.CrossVersionObjectReference().
				WithAPIVersion("apps/v1").WithKind("Deployment").WithName(n.ObjectName(API))).
			WithMinReplicas(a.Min).
			WithMaxReplicas(a.Max).
			WithMetrics(autoscalingv2ac.MetricSpec().
				WithType(autoscalingv2.ResourceMetricSourceType).
				WithResource(autoscalingv2ac.ResourceMetricSource().
					WithName(corev1.ResourceCPU).
					WithTarget(autoscalingv2ac.MetricTarget().
						WithType(autoscalingv2.UtilizationMetricType).
						WithAverageUtilization(a.TargetCPUPercent)))))
}

// DisruptionBudget limits the number of a role's pods that a node drain evicts at the
// same time. It has no effect on a single pod, because Kubernetes rounds 25% up to
// one pod.
func (n *Node) DisruptionBudget(role Role) *policyv1ac.PodDisruptionBudgetApplyConfiguration {
	return owned(n, role, policyv1ac.PodDisruptionBudget(n.ObjectName(role), n.Namespace)).
		WithSpec(policyv1ac.PodDisruptionBudgetSpec().
			WithSelector(n.selector(role)).
			WithMaxUnavailable(intstr.FromString("25%")))
}

// MetricsService lists the private ports of API and workers for the
// ServiceMonitor. It is headless, so Prometheus reads each pod, also pods that are
// not ready.
func (n *Node) MetricsService() *corev1ac.ServiceApplyConfiguration {
	return owned(n, Metrics, corev1ac.Service(n.ObjectName(Metrics), n.Namespace)).WithSpec(corev1ac.ServiceSpec().
		WithClusterIP(corev1.ClusterIPNone).
		WithPublishNotReadyAddresses(true).
		WithSelector(n.measured()).
		WithPorts(corev1ac.ServicePort().
			WithName("private").WithPort(PrivatePort).WithTargetPort(intstr.FromString("private")).WithProtocol(corev1.ProtocolTCP)))
}

// measured selects the pods that serve metrics.
func (n *Node) measured() map[string]string {
	return map[string]string{labelName: appName, labelInstance: n.Name, labelMetrics: "true"}
}

// ServiceMonitor configures the Prometheus operator to read the metrics through the
// MetricsService.
func (n *Node) ServiceMonitor() *unstructured.Unstructured {
	m := n.Spec.Monitoring.ServiceMonitor
	return n.monitor(ServiceMonitorKind, m, n.Selector(Metrics), "endpoints", endpoint(m))
}

// PodMonitor configures the Prometheus operator to read the metrics of the pods without a
// Service. The series have the same job as with the ServiceMonitor, so alerts and
// dashboards continue.
func (n *Node) PodMonitor() *unstructured.Unstructured {
	m := n.Spec.Monitoring.PodMonitor
	e := endpoint(m)
	e["relabelings"] = []any{map[string]any{"targetLabel": "job", "replacement": n.ObjectName(Metrics)}}
	return n.monitor(PodMonitorKind, m, n.measured(), "podMetricsEndpoints", e)
}

func endpoint(m v1.MonitorSpec) map[string]any {
	return map[string]any{"port": "private", "path": "/metrics", "interval": fmt.Sprintf("%ds", m.IntervalSeconds)}
}

// monitor builds a ServiceMonitor or a PodMonitor. Its field endpoints has one endpoint.
func (n *Node) monitor(kind schema.GroupVersionKind, m v1.MonitorSpec, selects map[string]string, endpoints string, endpoint map[string]any) *unstructured.Unstructured {
	labels := texts(m.Labels)
	maps.Copy(labels, n.Labels(Metrics))
	selector := map[string]any{}
	for k, v := range selects {
		selector[k] = v
	}
	return n.foreign(kind, n.Name, labels, map[string]any{
		"selector": map[string]any{"matchLabels": selector},
		// This label distinguishes the series of API and workers.
		"podTargetLabels": []any{labelComponent},
		endpoints:         []any{endpoint},
	})
}

// foreign builds an object of a kind that client-go does not know.
func (n *Node) foreign(kind schema.GroupVersionKind, name string, labels map[string]string, spec map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	u.SetGroupVersionKind(kind)
	u.SetName(name)
	u.SetNamespace(n.Namespace)
	u.SetLabels(labels)
	// SetOwnerReferences would write a form that cannot be applied.
	owner, err := runtime.DefaultUnstructuredConverter.ToUnstructured(n.owner())
	if err != nil {
		panic(fmt.Sprintf("desired: convert the owner reference: %v", err)) // impossible: it has only texts and booleans
	}
	u.Object["metadata"].(map[string]any)["ownerReferences"] = []any{owner}
	return u
}
