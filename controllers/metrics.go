package controllers

import (
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// The operator's own metrics, beside those of controller-runtime.
var (
	conditionGauge = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "downstream_operator_node_condition",
		Help: "Whether a condition of a DownstreamNode has the status that the label names.",
	}, []string{"namespace", "name", "condition", "status"})
	workersGauge = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "downstream_operator_node_workers_desired",
		Help: "Workers that a DownstreamNode should have.",
	}, []string{"namespace", "name"})
	backlogGauge = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "downstream_operator_node_backlog",
		Help: "Verification jobs of a DownstreamNode that wait or are under way; absent where Redis did not say.",
	}, []string{"namespace", "name"})
	backlogErrors = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "downstream_operator_backlog_errors_total",
		Help: "Times that the Redis of a DownstreamNode did not tell the backlog.",
	}, []string{"namespace", "name"})
	applies = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "downstream_operator_applies_total",
		Help: "Objects that were applied, by kind and by outcome: ok or error.",
	}, []string{"kind", "outcome"})
)

func init() {
	metrics.Registry.MustRegister(conditionGauge, workersGauge, backlogGauge, backlogErrors, applies)
}

// observeNode sets the metrics of a node to its status.
func observeNode(s *scope) {
	for _, c := range s.status.Conditions {
		for _, status := range []string{"True", "False", "Unknown"} {
			value := 0.0
			if string(c.Status) == status {
				value = 1
			}
			conditionGauge.WithLabelValues(s.Namespace, s.Name, c.Type, status).Set(value)
		}
	}
	workersGauge.WithLabelValues(s.Namespace, s.Name).Set(float64(s.status.Workers.DesiredReplicas))
	if s.status.Backlog == nil {
		backlogGauge.DeleteLabelValues(s.Namespace, s.Name)
	} else {
		backlogGauge.WithLabelValues(s.Namespace, s.Name).Set(float64(*s.status.Backlog))
	}
}

// forgetNode drops the metrics of a node that is gone.
func forgetNode(node types.NamespacedName) {
	labels := prometheus.Labels{"namespace": node.Namespace, "name": node.Name}
	for _, vec := range []interface {
		DeletePartialMatch(prometheus.Labels) int
	}{conditionGauge, workersGauge, backlogGauge, backlogErrors} {
		vec.DeletePartialMatch(labels)
	}
}
