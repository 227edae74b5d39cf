package v1

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Resources are the CPU, the memory and the other resources of a container.
//
// +kubebuilder:validation:XValidation:rule="!has(self.requests) || !has(self.limits) || self.requests.all(k, !(k in self.limits) || quantity(string(self.requests[k])).compareTo(quantity(string(self.limits[k]))) <= 0)",message="requests must not be more than limits"
type Resources struct {
	// The resources that Kubernetes reserves for the container.
	// +optional
	// +kubebuilder:validation:MaxProperties=7
	Requests map[corev1.ResourceName]resource.Quantity `json:"requests,omitempty"`
	// The maximum resources that the container may use.
	// +optional
	// +kubebuilder:validation:MaxProperties=7
	Limits map[corev1.ResourceName]resource.Quantity `json:"limits,omitempty"`
}

// PodsSpec sets how pods are scheduled and labelled.
type PodsSpec struct {
	// Labels of the pods. The operator adds its own labels.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('app.kubernetes.io/') && !k.startsWith('downstream.driveshare.org/'))",message="pods.labels must not begin with app.kubernetes.io/ or downstream.driveshare.org/: the operator uses these labels itself"
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",message="the keys of pods.labels must be label names such as team or example.org/team"
	Labels map[string]LabelValue `json:"labels,omitempty"`
	// Annotations of the pods. The operator adds its own annotations.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('downstream.driveshare.org/'))",message="pods.annotations must not begin with downstream.driveshare.org/: the operator uses these annotations itself"
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",message="the keys of pods.annotations must be label names such as team or example.org/team"
	Annotations map[string]Text `json:"annotations,omitempty"`
	// The labels that a Kubernetes node must have. Other Kubernetes nodes do not run
	// the pods.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",message="the keys of pods.nodeSelector must be label names such as team or example.org/team"
	NodeSelector map[string]LabelValue `json:"nodeSelector,omitempty"`
	// The taints of Kubernetes nodes that the pods tolerate.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="self.all(t, has(t.operator) && t.operator == 'Exists' ? !has(t.value) || t.value == '' : has(t.key) && t.key != '')",message="pods.tolerations: with operator Exists, leave value out; with another operator, set key"
	// +kubebuilder:validation:XValidation:rule="self.all(t, (!has(t.operator) || t.operator in ['', 'Exists', 'Equal', 'Lt', 'Gt']) && (!has(t.effect) || t.effect in ['', 'NoSchedule', 'PreferNoSchedule', 'NoExecute']))",message="pods.tolerations: operator must be Exists or Equal, and effect NoSchedule, PreferNoSchedule or NoExecute"
	// +kubebuilder:validation:XValidation:rule="self.all(t, !has(t.tolerationSeconds) || has(t.effect) && t.effect == 'NoExecute')",message="pods.tolerations: tolerationSeconds is for effect NoExecute"
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`
	// The affinity rules of the pods.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`
	// How the API replicas and the workers spread over the cluster. By default, both
	// spread evenly over Kubernetes nodes and zones. A constraint without a label
	// selector applies to the API replicas and to the workers separately.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	TopologySpreadConstraints []corev1.TopologySpreadConstraint `json:"topologySpreadConstraints,omitempty"`
	// The priority class of the API replicas and the workers.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)?$`
	PriorityClassName string `json:"priorityClassName,omitempty"`
}

// LabelValue is the value of a label.
//
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$`
type LabelValue string

// NetworkPolicySpec sets who may connect to the node's pods. The network policies
// always allow connections to the API's port for farmers. They allow no connections to
// the pods of Jobs.
type NetworkPolicySpec struct {
	// Whether the operator creates network policies.
	// +optional
	// +kubebuilder:default=true
	Enabled *bool `json:"enabled,omitempty"`
	// The namespaces whose pods may read metrics, for example the namespace of
	// Prometheus. By default, pods in every namespace may read metrics. Clients
	// outside the cluster may not read metrics.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	MetricsNamespaces []string `json:"metricsNamespaces,omitempty"`
}

// MonitoringSpec sets how Prometheus monitors the node.
//
// +kubebuilder:validation:XValidation:rule="!has(self.serviceMonitor) || !has(self.podMonitor) || !has(self.serviceMonitor.enabled) || !has(self.podMonitor.enabled) || !(self.serviceMonitor.enabled && self.podMonitor.enabled)",message="enable monitoring.serviceMonitor or monitoring.podMonitor, not both: Prometheus would read every metric twice"
type MonitoringSpec struct {
	// The ServiceMonitor for the metrics of the API and the workers. It has an effect
	// only if the Prometheus operator runs in the cluster.
	// +optional
	// +kubebuilder:default={}
	ServiceMonitor MonitorSpec `json:"serviceMonitor,omitzero"`
	// A PodMonitor for the same metrics, instead of the ServiceMonitor. Use it if your
	// Prometheus selects PodMonitors. The label `job` of the series is the same.
	// +optional
	// +kubebuilder:default={}
	PodMonitor MonitorSpec `json:"podMonitor,omitzero"`
}

// MonitorSpec sets whether there is a ServiceMonitor or a PodMonitor, and its fields.
type MonitorSpec struct {
	// Whether the operator creates the object. If the cluster does not have its kind
	// yet, the operator tries again later.
	// +optional
	Enabled bool `json:"enabled,omitempty"`
	// Labels of the object. Prometheus uses these labels to select it.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",message="the keys of a monitor's labels must be label names such as team or example.org/team"
	Labels map[string]LabelValue `json:"labels,omitempty"`
	// The time between two reads of the metrics, in seconds.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	// +kubebuilder:default=30
	IntervalSeconds int32 `json:"intervalSeconds,omitempty"`
}

// LogSpec sets what the node's processes log.
type LogSpec struct {
	// The least severe level that is logged.
	// +optional
	// +kubebuilder:validation:Enum=debug;info;warn;error
	// +kubebuilder:default=info
	Level string `json:"level,omitempty"`
}

// Size is a number of bytes as text, with or without a unit, such as 32Mi. It is not a
// resource.Quantity, because the schema of a Quantity has no length limit. Without a
// length limit, the API server rejects the validation rules of the field.
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

// Decimal is a decimal number as text, such as 0.01. It is not a floating-point number,
// because programs may round floating-point numbers differently.
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
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name"`
}

// DSNRef is a key of a Secret with a data source name.
type DSNRef struct {
	ObjectReference `json:",inline"`
	// The key in the Secret.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	// +kubebuilder:default=dsn
	Key string `json:"key,omitempty"`
}

// URLRef is a key of a Secret with the URL of a Redis.
type URLRef struct {
	ObjectReference `json:",inline"`
	// The key in the Secret.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	// +kubebuilder:default=url
	Key string `json:"key,omitempty"`
}

// UsernameRef is a key of a Secret with a user name.
type UsernameRef struct {
	ObjectReference `json:",inline"`
	// The key in the Secret.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	// +kubebuilder:default=username
	Key string `json:"key,omitempty"`
}

// PasswordRef is a key of a Secret with a password.
type PasswordRef struct {
	ObjectReference `json:",inline"`
	// The key in the Secret.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	// +kubebuilder:default=password
	Key string `json:"key,omitempty"`
}

// CARef is a key of a Secret with certificates of authorities.
type CARef struct {
	ObjectReference `json:",inline"`
	// The key in the Secret.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	// +kubebuilder:default=ca.crt
	Key string `json:"key,omitempty"`
}

// ClientCertificateRef is a Secret with a certificate and its private key.
type ClientCertificateRef struct {
	ObjectReference `json:",inline"`
	// The key of the certificate in the Secret.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	// +kubebuilder:default=tls.crt
	CertificateKey string `json:"certificateKey,omitempty"`
	// The key of the private key in the Secret.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	// +kubebuilder:default=tls.key
	PrivateKeyKey string `json:"privateKeyKey,omitempty"`
}

// HeartbeatKeyRef is a key of a Secret with a private heartbeat file.
type HeartbeatKeyRef struct {
	ObjectReference `json:",inline"`
	// The key in the Secret.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
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
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	// +kubebuilder:default=whitelist.csv
	Key string `json:"key,omitempty"`
}

// GeoIPRef is a key of a Secret or a ConfigMap with a GeoLite2 or GeoIP2 City database.
type GeoIPRef struct {
	ObjectReference `json:",inline"`
	// The key in the Secret or ConfigMap.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	// +kubebuilder:default="GeoLite2-City.mmdb"
	Key string `json:"key,omitempty"`
}
