package desired

import (
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
)

const metrics Role = "metrics"

// MetricsService names the private ports of API and workers, for the
// ServiceMonitor. It is headless: each pod is read by itself, ready or not.
func (n *Node) MetricsService() *corev1ac.ServiceApplyConfiguration {
	return corev1ac.Service(n.ObjectName(metrics), n.Namespace).
		WithLabels(n.Labels(metrics)).
		WithOwnerReferences(n.owner()).
		WithSpec(corev1ac.ServiceSpec().
			WithClusterIP(corev1.ClusterIPNone).
			WithPublishNotReadyAddresses(true).
			WithSelector(map[string]string{labelName: appName, labelInstance: n.Name, labelMetrics: "true"}).
			WithPorts(corev1ac.ServicePort().
				WithName("private").WithPort(privatePort).WithTargetPort(intstr.FromString("private")).WithProtocol(corev1.ProtocolTCP)))
}

// ServiceMonitor has the Prometheus operator read the metrics.
func (n *Node) ServiceMonitor() *unstructured.Unstructured {
	s := n.Spec.Monitoring.ServiceMonitor
	labels := texts(s.Labels)
	maps.Copy(labels, n.Labels(metrics))
	selector := map[string]any{}
	for k, v := range n.Selector(metrics) {
		selector[k] = v
	}
	return n.foreign(ServiceMonitorKind, n.Name, labels, map[string]any{
		"selector": map[string]any{"matchLabels": selector},
		// So that series tell API from workers.
		"podTargetLabels": []any{labelComponent},
		"endpoints": []any{map[string]any{
			"port":     "private",
			"path":     "/metrics",
			"interval": fmt.Sprintf("%ds", s.IntervalSeconds),
		}},
	})
}
