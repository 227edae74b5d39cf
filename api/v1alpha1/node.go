package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DownstreamNode is a proof-of-storage node: API replicas that farmers call,
// and workers that check farmers' proofs. Scale the workers with
// `kubectl scale dn/NAME --replicas=N`.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=downstreamnodes,singular=downstreamnode,shortName=dn,categories=all
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.workers.replicas,statuspath=.status.workers.replicas,selectorpath=.status.workers.selector
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="Whether farmers can farm"
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,description="Why it is so"
// +kubebuilder:printcolumn:name="API",type=integer,JSONPath=`.status.api.readyReplicas`,description="API replicas that are ready"
// +kubebuilder:printcolumn:name="Workers",type=integer,JSONPath=`.status.workers.readyReplicas`,description="Workers that are ready"
// +kubebuilder:printcolumn:name="Backlog",type=integer,JSONPath=`.status.backlog`,description="Verification jobs that wait or are under way"
// +kubebuilder:printcolumn:name="Paused",type=string,JSONPath=`.status.conditions[?(@.type=="Paused")].status`,description="Whether the operator leaves its objects alone"
// +kubebuilder:printcolumn:name="Desired",type=integer,priority=1,JSONPath=`.status.workers.desiredReplicas`,description="Workers that there should be"
// +kubebuilder:printcolumn:name="Degraded",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Degraded")].status`,description="Whether somebody has to look at it"
// +kubebuilder:printcolumn:name="URL",type=string,priority=1,JSONPath=`.status.url`,description="Where farmers reach the API"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$')",message="metadata.name must be 1 to 40 lower-case letters, digits and dashes that begin with a letter and end with a letter or digit: the Service and the other objects of the node are named after it"
type DownstreamNode struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// What the node should be.
	// +required
	Spec DownstreamNodeSpec `json:"spec"`
	// What the operator last saw of it.
	// +optional
	Status DownstreamNodeStatus `json:"status,omitzero"`
}

// DownstreamNodeList is a list of nodes.
//
// +kubebuilder:object:root=true
type DownstreamNodeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []DownstreamNode `json:"items"`
}

// DownstreamNodeSpec is what a node should be.
type DownstreamNodeSpec struct {
	// The image of API, workers and jobs. Without one, the image that the
	// operator was started with, which is the version that belongs to it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^(([A-Za-z0-9.-]+|[[][0-9A-Fa-f:]+[]])(:[0-9]+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@[a-z0-9]+:[0-9a-f]{32,})?$')",message="image must be the name of one, such as registry.example/downstream-node:1.0: without spaces, the repository in lower case"
	Image string `json:"image,omitempty"`
	// When the image is pulled.
	// +optional
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	// +kubebuilder:default=IfNotPresent
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`
	// Secrets with the credentials of the registry that the images come from.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	ImagePullSecrets []ObjectReference `json:"imagePullSecrets,omitempty"`

	// While true the operator changes nothing: pods that run keep running, edits
	// wait, and `kubectl scale` has no effect until it is false again. The status
	// is still kept up to date.
	// +optional
	Paused bool `json:"paused,omitempty"`

	// The HTTP API that farmers call.
	// +optional
	// +kubebuilder:default={}
	API APISpec `json:"api,omitzero"`
	// The workers that check proofs and keep the inventory stocked.
	// +optional
	// +kubebuilder:default={}
	Workers WorkersSpec `json:"workers,omitzero"`
	// The proof-of-storage scheme and its key.
	// +optional
	// +kubebuilder:default={type: Swizzle}
	Heartbeat HeartbeatSpec `json:"heartbeat,omitzero"`
	// What farmers are given, and the limits on it.
	// +optional
	// +kubebuilder:default={}
	Contracts ContractsSpec `json:"contracts,omitzero"`
	// The chunks that are kept ready for farmers.
	// +optional
	// +kubebuilder:default={minChunkSize: "1Ki", maxChunkSize: "32Mi", totalSize: "1Gi"}
	Inventory InventorySpec `json:"inventory,omitzero"`
	// Who may farm, beside the whitelist.
	// +optional
	// +kubebuilder:default={}
	Access AccessSpec `json:"access,omitzero"`
	// Addresses that may farm. Without a whitelist, every address may.
	// +optional
	Whitelist *WhitelistSpec `json:"whitelist,omitempty"`

	// The database that holds every record of the node.
	// +required
	MySQL MySQLSpec `json:"mysql"`
	// The queue between API and workers, and the state they share. It may be
	// lost without losing anything that a farmer was told.
	// +required
	Redis RedisSpec `json:"redis"`
	// Where to find a GeoLite2 or GeoIP2 City database. Without one, farmers'
	// locations are unknown.
	// +optional
	GeoIP *GeoIPSpec `json:"geoip,omitempty"`

	// How pods are scheduled and labelled, for API, workers and jobs alike.
	// +optional
	Pods PodsSpec `json:"pods,omitzero"`
	// Who may connect to the node's pods.
	// +optional
	// +kubebuilder:default={}
	NetworkPolicy NetworkPolicySpec `json:"networkPolicy,omitzero"`
	// How the node is watched by Prometheus.
	// +optional
	// +kubebuilder:default={}
	Monitoring MonitoringSpec `json:"monitoring,omitzero"`
	// What the node's processes log, on standard error, as JSON.
	// +optional
	// +kubebuilder:default={}
	Log LogSpec `json:"log,omitzero"`
}
