package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// DownstreamNodeStatus is what the operator last saw of a node.
type DownstreamNodeStatus struct {
	// The generation of the spec that this is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// What holds and what does not, one by one. Those of types that the operator
	// does not know are left alone.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=32
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// The API replicas.
	// +optional
	API APIStatus `json:"api,omitzero"`
	// The workers.
	// +optional
	Workers WorkersStatus `json:"workers,omitzero"`
	// Verification jobs that wait or are under way; absent where Redis did not
	// say.
	// +optional
	Backlog *int64 `json:"backlog,omitempty"`
	// Where farmers reach the API.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	URL string `json:"url,omitempty"`
	// The heartbeat key that the node's contracts are made with.
	// +optional
	HeartbeatKey HeartbeatKeyStatus `json:"heartbeatKey,omitzero"`
	// The schema migration that has been completed: the name of its Job.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Migration string `json:"migration,omitempty"`
	// The whitelist that has been loaded: the name of the Job that did.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Whitelist string `json:"whitelist,omitempty"`
}

// APIStatus is how the API stands.
type APIStatus struct {
	// Replicas that run.
	// +optional
	Replicas int32 `json:"replicas"`
	// Those of them that take requests.
	// +optional
	ReadyReplicas int32 `json:"readyReplicas"`
}

// WorkersStatus is how the pool stands.
type WorkersStatus struct {
	// Workers that there should be: spec.workers.replicas, or what autoscaling
	// decided on.
	// +optional
	DesiredReplicas int32 `json:"desiredReplicas"`
	// Workers that run.
	// +optional
	Replicas int32 `json:"replicas"`
	// Those of them that take jobs.
	// +optional
	ReadyReplicas int32 `json:"readyReplicas"`
	// The label selector of their pods, for the scale subresource.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Selector string `json:"selector,omitempty"`
}

// HeartbeatKeyStatus names a key without telling it.
type HeartbeatKeyStatus struct {
	// The Secret that the key is in.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	SecretName string `json:"secretName,omitempty"`
	// The key's fingerprint, in hex, the same as in the database. Once a migration
	// has completed, whatever the Secret holds must have this.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Fingerprint string `json:"fingerprint,omitempty"`
}

// The types of conditions.
const (
	// Ready says whether farmers can farm: the key is there, and API and workers
	// are available, which they are not before the schema that they need is there.
	Ready = "Ready"
	// Progressing says whether something is under way that will end by itself.
	Progressing = "Progressing"
	// Degraded says whether somebody has to look at the node.
	Degraded = "Degraded"
	// SchemaMigrated says whether the database's schema is that of the image.
	SchemaMigrated = "SchemaMigrated"
	// APIAvailable says whether an API replica takes requests.
	APIAvailable = "APIAvailable"
	// WorkersAvailable says whether a worker takes jobs, or none are asked for.
	WorkersAvailable = "WorkersAvailable"
	// HeartbeatKeyAvailable says whether the node's own key is there.
	HeartbeatKeyAvailable = "HeartbeatKeyAvailable"
	// Paused says whether the operator leaves the node's objects alone.
	Paused = "Paused"
)
