package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Resources is what a container is given.
type Resources struct {
	// What is set aside for it.
	// +optional
	// +kubebuilder:validation:MaxProperties=8
	Requests map[corev1.ResourceName]resource.Quantity `json:"requests,omitempty"`
	// What it may take at most.
	// +optional
	// +kubebuilder:validation:MaxProperties=8
	Limits map[corev1.ResourceName]resource.Quantity `json:"limits,omitempty"`
}

// PodsSpec is how pods are scheduled and labelled.
type PodsSpec struct {
	// Labels for the pods, beside those that the operator sets.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('app.kubernetes.io/') && !k.startsWith('downstream.driveshare.org/'))",message="pods.labels must not begin with app.kubernetes.io/ or downstream.driveshare.org/: the operator selects its pods by these"
	Labels map[string]LabelValue `json:"labels,omitempty"`
	// Annotations for the pods.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('downstream.driveshare.org/'))",message="pods.annotations must not begin with downstream.driveshare.org/: these are the operator's"
	Annotations map[string]Text `json:"annotations,omitempty"`
	// The labels that a machine must have.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	NodeSelector map[string]LabelValue `json:"nodeSelector,omitempty"`
	// The taints of machines that the pods bear.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`
	// Where the pods would rather be, or must not be.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`
	// How API replicas and workers are spread, in place of evenly over machines
	// and zones. A constraint without a selector is about the pods of its kind.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	TopologySpreadConstraints []corev1.TopologySpreadConstraint `json:"topologySpreadConstraints,omitempty"`
	// The priority class of API replicas and workers.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	PriorityClassName string `json:"priorityClassName,omitempty"`
}

// LabelValue is the value of a label.
//
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$`
type LabelValue string

// NetworkPolicySpec is who may connect to the node's pods. Farmers may always
// reach the API's port; nobody may reach the jobs.
type NetworkPolicySpec struct {
	// Whether there are network policies at all.
	// +optional
	// +kubebuilder:default=true
	Enabled *bool `json:"enabled,omitempty"`
	// The namespaces from which metrics may be read, such as that of Prometheus.
	// Without any, from all pods of the cluster, but not from outside.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=63
	MetricsNamespaces []string `json:"metricsNamespaces,omitempty"`
}

// MonitoringSpec is how the node is watched by Prometheus.
type MonitoringSpec struct {
	// Has the Prometheus operator, where the cluster has it, read the metrics of
	// API and workers.
	// +optional
	// +kubebuilder:default={}
	ServiceMonitor ServiceMonitorSpec `json:"serviceMonitor,omitzero"`
}

// ServiceMonitorSpec is a ServiceMonitor.
type ServiceMonitorSpec struct {
	// Whether to make one. It is made as soon as the cluster knows the kind.
	// +optional
	Enabled bool `json:"enabled,omitempty"`
	// Labels for it, as the Prometheus selects by.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Labels map[string]LabelValue `json:"labels,omitempty"`
	// How often metrics are read, in seconds.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	// +kubebuilder:default=30
	IntervalSeconds int32 `json:"intervalSeconds,omitempty"`
}

// LogSpec is what is logged.
type LogSpec struct {
	// The least severe level that is logged.
	// +optional
	// +kubebuilder:validation:Enum=debug;info;warn;error
	// +kubebuilder:default=info
	Level string `json:"level,omitempty"`
}
