package v1alpha1

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Resources are the resources of a container.
type Resources struct {
	// The resources reserved for the container.
	// +optional
	// +kubebuilder:validation:MaxProperties=8
	Requests map[corev1.ResourceName]resource.Quantity `json:"requests,omitempty"`
	// The limits of the container.
	// +optional
	// +kubebuilder:validation:MaxProperties=8
	Limits map[corev1.ResourceName]resource.Quantity `json:"limits,omitempty"`
}

// PodsSpec sets how pods are scheduled and labelled.
type PodsSpec struct {
	// Labels of the pods, besides those that the operator sets.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('app.kubernetes.io/') && !k.startsWith('downstream.driveshare.org/'))",message="pods.labels must not begin with app.kubernetes.io/ or downstream.driveshare.org/: the operator uses these labels itself"
	Labels map[string]LabelValue `json:"labels,omitempty"`
	// Annotations of the pods.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('downstream.driveshare.org/'))",message="pods.annotations must not begin with downstream.driveshare.org/: the operator uses these annotations itself"
	Annotations map[string]Text `json:"annotations,omitempty"`
	// The labels that a Kubernetes node must have to run the pods.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	NodeSelector map[string]LabelValue `json:"nodeSelector,omitempty"`
	// The taints of Kubernetes nodes that the pods tolerate.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`
	// The affinity rules of the pods.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`
	// How API replicas and workers spread. The default spreads them evenly over
	// Kubernetes nodes and zones. A constraint without a selector selects the pods of
	// the same role.
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

// NetworkPolicySpec sets who may connect to the node's pods. Farmers may always
// connect to the API's port. No connection to the Jobs is allowed.
type NetworkPolicySpec struct {
	// Whether the operator makes network policies.
	// +optional
	// +kubebuilder:default=true
	Enabled *bool `json:"enabled,omitempty"`
	// The namespaces whose pods may read metrics, such as the one of Prometheus. The
	// default is all pods of the cluster; clients outside the cluster may not.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=63
	MetricsNamespaces []string `json:"metricsNamespaces,omitempty"`
}

// MonitoringSpec sets how Prometheus monitors the node.
type MonitoringSpec struct {
	// Makes the Prometheus operator read the metrics of API and workers, if the
	// cluster has it.
	// +optional
	// +kubebuilder:default={}
	ServiceMonitor ServiceMonitorSpec `json:"serviceMonitor,omitzero"`
}

// ServiceMonitorSpec describes a ServiceMonitor.
type ServiceMonitorSpec struct {
	// Whether to make a ServiceMonitor. The operator waits until the cluster knows the
	// kind.
	// +optional
	Enabled bool `json:"enabled,omitempty"`
	// Labels of the ServiceMonitor, by which Prometheus selects it.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Labels map[string]LabelValue `json:"labels,omitempty"`
	// The time between two reads of the metrics, in seconds.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	// +kubebuilder:default=30
	IntervalSeconds int32 `json:"intervalSeconds,omitempty"`
}

// LogSpec sets what is logged.
type LogSpec struct {
	// The least severe level that is written.
	// +optional
	// +kubebuilder:validation:Enum=debug;info;warn;error
	// +kubebuilder:default=info
	Level string `json:"level,omitempty"`
}

// Size is a number of bytes as text, with or without a unit, such as 32Mi. It is
// not a resource.Quantity: the schema of that has no length limit, and without one
// the API server accepts no validation rules.
//
// +kubebuilder:validation:MaxLength=20
// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{1,16}([kMGTP]|[KMGTP]i)?$')",message="must be a number of bytes in quotes or with a unit, such as '1024', 1G or 32Mi"
type Size string

// Bytes returns the number of bytes. The schema accepts only valid numbers.
func (s Size) Bytes() int64 {
	q, err := resource.ParseQuantity(string(s))
	if err != nil {
		return 0
	}
	return q.Value()
}

// Decimal is a decimal number as text, such as 0.01. Floating-point numbers in a
// schema differ between readers.
//
// +kubebuilder:validation:MaxLength=20
// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{1,8}([.][0-9]{1,8})?$')",message="must be a decimal number in quotes, such as '0.01'"
type Decimal string

// Float64 returns the number. The schema accepts only valid numbers.
func (d Decimal) Float64() float64 {
	f, err := strconv.ParseFloat(string(d), 64)
	if err != nil {
		return 0
	}
	return f
}

// Text is the value of an annotation.
//
// +kubebuilder:validation:MaxLength=4096
type Text string

// ObjectReference names an object in the namespace of the DownstreamNode.
type ObjectReference struct {
	// The name of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// DSNRef is a key of a Secret with a data source name.
type DSNRef struct {
	ObjectReference `json:",inline"`
	// The key in the Secret.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:default=dsn
	Key string `json:"key,omitempty"`
}

// URLRef is a key of a Secret with a URL.
type URLRef struct {
	ObjectReference `json:",inline"`
	// The key in the Secret.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:default=url
	Key string `json:"key,omitempty"`
}

// HeartbeatKeyRef is a key of a Secret with a private heartbeat file.
type HeartbeatKeyRef struct {
	ObjectReference `json:",inline"`
	// The key in the Secret.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:default=heartbeat.json
	Key string `json:"key,omitempty"`
}

// WhitelistRef is a key of a ConfigMap with a whitelist.
type WhitelistRef struct {
	ObjectReference `json:",inline"`
	// The key in the ConfigMap.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:default=whitelist.csv
	Key string `json:"key,omitempty"`
}

// GeoIPRef is a key of a Secret or a ConfigMap with a location database.
type GeoIPRef struct {
	ObjectReference `json:",inline"`
	// The key in the Secret or ConfigMap.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:default="GeoLite2-City.mmdb"
	Key string `json:"key,omitempty"`
}
