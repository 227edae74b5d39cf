package v1

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
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.workers.replicas,statuspath=.status.workers.replicas,selectorpath=.status.workers.selector
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="Whether farmers can farm and the current spec is in effect"
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,description="Why the node is ready or not"
// +kubebuilder:printcolumn:name="API",type=integer,JSONPath=`.status.api.readyReplicas`,description="Number of API replicas that are ready"
// +kubebuilder:printcolumn:name="Workers",type=integer,JSONPath=`.status.workers.readyReplicas`,description="Number of workers that are ready"
// +kubebuilder:printcolumn:name="Backlog",type=integer,JSONPath=`.status.backlog`,description="Number of verification jobs that wait or are being verified"
// +kubebuilder:printcolumn:name="Paused",type=string,JSONPath=`.status.conditions[?(@.type=="Paused")].status`,description="Whether spec.paused is true"
// +kubebuilder:printcolumn:name="Desired",type=integer,priority=1,JSONPath=`.status.workers.desiredReplicas`,description="Number of workers that should run"
// +kubebuilder:printcolumn:name="Available",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Available")].status`,description="Whether farmers can farm"
// +kubebuilder:printcolumn:name="Degraded",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Degraded")].status`,description="Whether the node has a problem that a person must solve"
// +kubebuilder:printcolumn:name="URL",type=string,priority=1,JSONPath=`.status.url`,description="The URL at which farmers reach the API"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$')",message="metadata.name must be 1 to 40 lower-case letters, digits and dashes that begin with a letter and end with a letter or digit: the names of the Service and of the node's other objects begin with it"
type DownstreamNode struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// The desired state of the node.
	// +required
	Spec DownstreamNodeSpec `json:"spec"`
	// What the operator last observed.
	// +optional
	Status DownstreamNodeStatus `json:"status,omitzero"`
}

// RestoreAnnotation is an annotation of a DownstreamNode that is made from a backup. While it
// exists, the operator does not migrate the node's database for the first time, so no pod uses
// the database. `kubectl downstream restore` sets and removes it.
const RestoreAnnotation = "downstream.driveshare.org/restore"

// DownstreamNodeList is a list of nodes.
//
// +kubebuilder:object:root=true
type DownstreamNodeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []DownstreamNode `json:"items"`
}

// DownstreamNodeSpec is the desired state of a node.
//
// +kubebuilder:validation:XValidation:rule="!has(self.heartbeat.detection) || self.heartbeat.type != 'Merkle' || !has(self.heartbeat.challenges) || !has(self.contracts.intervalSeconds) || self.heartbeat.detection.withinSeconds < (self.heartbeat.challenges + 1) * self.contracts.intervalSeconds",message="heartbeat.detection.withinSeconds is longer than a Merkle contract, which ends after heartbeat.challenges of contracts.intervalSeconds; lower it or raise heartbeat.challenges"
// +kubebuilder:validation:XValidation:rule="!has(self.backup) || has(self.mysql.evaluation)",message="backup is for mysql.evaluation; back up an external database by its own means, and its heartbeat keys with `kubectl get secret`"
type DownstreamNodeSpec struct {
	// The image of the API, the workers and the Jobs. The default is the operator's
	// own image, so the node and the operator have the same version.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^(([A-Za-z0-9.-]+|[[][0-9A-Fa-f:]+[]])(:[0-9]+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@[a-z0-9]+:[0-9a-f]{32,})?$')",message="image must be an image name such as registry.example/downstream-node:1.0, without spaces and with the repository in lower case"
	Image string `json:"image,omitempty"`
	// When Kubernetes pulls the image.
	// +optional
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	// +kubebuilder:default=IfNotPresent
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`
	// The Secrets with the credentials for the image registry.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	ImagePullSecrets []ObjectReference `json:"imagePullSecrets,omitempty"`

	// If true, the operator changes none of the node's objects, and running pods keep
	// running. Changes to the spec and `kubectl scale` take effect when paused is
	// false again. The operator still updates the status.
	// +optional
	Paused bool `json:"paused,omitempty"`

	// If true, the operator records a maintenance of the node and ends the pods of the API,
	// the workers and the evaluation databases. No contract expires and no farmer loses
	// uptime until the node has started again. The other fields of the spec and `kubectl
	// scale` take effect when hibernate is false again.
	// +optional
	Hibernate bool `json:"hibernate,omitempty"`

	// The HTTP API that farmers call.
	// +optional
	// +kubebuilder:default={}
	API APISpec `json:"api,omitzero"`
	// The workers that check proofs and fill the inventory.
	// +optional
	// +kubebuilder:default={}
	Workers WorkersSpec `json:"workers,omitzero"`
	// The Jobs that the operator runs.
	// +optional
	Jobs JobsSpec `json:"jobs,omitzero"`
	// The proof-of-storage scheme and its key.
	// +optional
	// +kubebuilder:default={type: Swizzle}
	Heartbeat HeartbeatSpec `json:"heartbeat,omitzero"`
	// The contracts that farmers get, and their limits.
	// +optional
	// +kubebuilder:default={}
	Contracts ContractsSpec `json:"contracts,omitzero"`
	// The chunks that the node keeps ready for farmers.
	// +optional
	// +kubebuilder:default={minChunkSize: "1Ki", maxChunkSize: "32Mi", totalSize: "1Gi"}
	Inventory InventorySpec `json:"inventory,omitzero"`
	// The conditions that a farmer must meet, besides the whitelist.
	// +optional
	// +kubebuilder:default={}
	Access AccessSpec `json:"access,omitzero"`
	// The addresses that may farm. Without a whitelist, every address may farm.
	// +optional
	Whitelist *WhitelistSpec `json:"whitelist,omitempty"`

	// A planned maintenance of the node. Challenges that are issued after the
	// announcement are due after its end. To cancel it, or to end it early, remove this field.
	// `downstream-node maintenance list` also shows maintenances that were planned without
	// this field.
	// +optional
	Maintenance *MaintenanceSpec `json:"maintenance,omitempty"`

	// How the node rates farmers.
	// +optional
	Score ScoreSpec `json:"score,omitzero"`

	// What the node's page says about the node.
	// +optional
	Page PageSpec `json:"page,omitzero"`

	// The database that holds every record of the node.
	// +required
	MySQL MySQLSpec `json:"mysql"`
	// The Redis with the queue between the API and the workers, and with their shared
	// state. If Redis loses its data, MySQL still has every result that a farmer has
	// received.
	// +required
	Redis RedisSpec `json:"redis"`
	// Encrypted backups of an evaluation database and of the heartbeat keys, at fixed times.
	// Back up an external database by its own means.
	// +optional
	Backup *BackupSpec `json:"backup,omitempty"`
	// A GeoLite2 or GeoIP2 City database. Without this database, the locations of
	// farmers are unknown.
	// +optional
	GeoIP *GeoIPSpec `json:"geoip,omitempty"`

	// How the pods of the API, the workers and the Jobs are scheduled and labelled.
	// +optional
	Pods PodsSpec `json:"pods,omitzero"`
	// Whether the cluster is an OpenShift. If true, the operator sets no fixed user and
	// group of pods, because OpenShift's restricted-v2 assigns them. The default is true if
	// the cluster has the API group security.openshift.io.
	// +optional
	OpenShift *bool `json:"openshift,omitempty"`
	// Who may connect to the node's pods.
	// +optional
	// +kubebuilder:default={}
	NetworkPolicy NetworkPolicySpec `json:"networkPolicy,omitzero"`
	// How Prometheus monitors the node.
	// +optional
	// +kubebuilder:default={}
	Monitoring MonitoringSpec `json:"monitoring,omitzero"`
	// What the node's processes log. They write JSON to standard error.
	// +optional
	// +kubebuilder:default={}
	Log LogSpec `json:"log,omitzero"`
}
