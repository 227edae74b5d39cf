package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// DownstreamNodeStatus is what the operator last observed of a node.
type DownstreamNodeStatus struct {
	// The generation of the spec that the operator has reconciled.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// The conditions of the node. The operator keeps conditions of other types.
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
	// The number of verification jobs that wait or are being verified. Absent if Redis
	// cannot be read.
	// +optional
	Backlog *int64 `json:"backlog,omitempty"`
	// The URL at which farmers reach the API.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	URL string `json:"url,omitempty"`
	// The heartbeat key of the node's contracts.
	// +optional
	HeartbeatKey HeartbeatKeyStatus `json:"heartbeatKey,omitzero"`
	// The name of the Job of the last completed schema migration.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Migration string `json:"migration,omitempty"`
	// The name of the Job that loaded the current whitelist.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Whitelist string `json:"whitelist,omitempty"`
}

// APIStatus is the state of the API.
type APIStatus struct {
	// The number of running replicas.
	// +optional
	Replicas int32 `json:"replicas"`
	// The number of replicas that take requests.
	// +optional
	ReadyReplicas int32 `json:"readyReplicas"`
}

// WorkersStatus is the state of the workers.
type WorkersStatus struct {
	// The number of workers that should run: spec.workers.replicas, or the number from
	// autoscaling.
	// +optional
	DesiredReplicas int32 `json:"desiredReplicas"`
	// The number of running workers.
	// +optional
	Replicas int32 `json:"replicas"`
	// The number of workers that take jobs.
	// +optional
	ReadyReplicas int32 `json:"readyReplicas"`
	// The label selector of their pods, for the scale subresource.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Selector string `json:"selector,omitempty"`
}

// HeartbeatKeyStatus identifies a key without revealing it.
type HeartbeatKeyStatus struct {
	// The name of the Secret with the key.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	SecretName string `json:"secretName,omitempty"`
	// The fingerprint of the key, in hex, as in the database. After the first completed
	// migration, the key in the Secret must have this fingerprint.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Fingerprint string `json:"fingerprint,omitempty"`
}

// The types of the conditions that the operator sets.
const (
	// Ready reports whether farmers can farm: the heartbeat key exists, and API and
	// workers are available. They are not available before the schema that they need.
	Ready = "Ready"
	// Progressing reports whether work is in progress that ends without help.
	Progressing = "Progressing"
	// Degraded reports whether the node has a problem that a person must solve.
	Degraded = "Degraded"
	// Paused reports whether the operator leaves the node's objects alone.
	Paused = "Paused"
	// HeartbeatKeyAvailable reports whether the node's own key exists.
	HeartbeatKeyAvailable = "HeartbeatKeyAvailable"
	// SchemaMigrated reports whether the database has the schema of the image.
	SchemaMigrated = "SchemaMigrated"
	// APIAvailable reports whether an API replica takes requests.
	APIAvailable = "APIAvailable"
	// WorkersAvailable reports whether a worker takes jobs, or the spec asks for none.
	WorkersAvailable = "WorkersAvailable"
)

// ConditionTypes lists them in the order in which people should read them.
var ConditionTypes = []string{
	Ready, Progressing, Degraded, Paused, HeartbeatKeyAvailable, SchemaMigrated, APIAvailable, WorkersAvailable,
}
