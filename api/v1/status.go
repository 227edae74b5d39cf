package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// DownstreamNodeStatus is what the operator last observed of a node.
type DownstreamNodeStatus struct {
	// The metadata.generation that the operator has applied. If it is less than the
	// current one, the conditions are those of an older spec.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// The conditions of the node. The operator does not change conditions that other
	// programs set.
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
	// The number of verification jobs that wait or are being verified. This field is
	// absent if the operator could not read the number from Redis.
	// +optional
	Backlog *int64 `json:"backlog,omitempty"`
	// The URL at which farmers reach the API.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	URL string `json:"url,omitempty"`
	// The newest heartbeat key.
	// +optional
	HeartbeatKey HeartbeatKeyStatus `json:"heartbeatKey,omitzero"`
	// All heartbeat keys that the node has had, the newest first.
	// +optional
	// +listType=map
	// +listMapKey=rotation
	// +kubebuilder:validation:MaxItems=1001
	HeartbeatKeys []RotatedKeyStatus `json:"heartbeatKeys,omitempty"`
	// The backups, if spec.backup is set.
	// +optional
	Backup *BackupStatus `json:"backup,omitempty"`
	// The operator that manages the node. Other operators leave the node alone until the
	// claim has expired.
	// +optional
	Operator *OperatorStatus `json:"operator,omitempty"`
	// The name of the Job that completed the last schema migration.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Migration string `json:"migration,omitempty"`
	// The name of the Job that loaded the current whitelist.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Whitelist string `json:"whitelist,omitempty"`
	// The name of the Job that last announced or cancelled spec.maintenance, or "pending"
	// until the first one has completed.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Maintenance string `json:"maintenance,omitempty"`
}

// APIStatus is the state of the API.
type APIStatus struct {
	// The number of running replicas.
	// +optional
	Replicas int32 `json:"replicas"`
	// The number of replicas that accept requests.
	// +optional
	ReadyReplicas int32 `json:"readyReplicas"`
}

// WorkersStatus is the state of the workers.
type WorkersStatus struct {
	// The number of workers that should run: spec.workers.replicas, or the number
	// that autoscaling has set.
	// +optional
	DesiredReplicas int32 `json:"desiredReplicas"`
	// The number of running workers.
	// +optional
	Replicas int32 `json:"replicas"`
	// The number of workers that read jobs from the queue.
	// +optional
	ReadyReplicas int32 `json:"readyReplicas"`
	// The label selector of the workers' pods. The scale subresource reports it.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Selector string `json:"selector,omitempty"`
}

// BackupStatus is the state of the backups.
type BackupStatus struct {
	// When the last good backup was complete.
	// +optional
	LastSuccess *metav1.Time `json:"lastSuccess,omitempty"`
	// When the last backup that failed ended. If it is later than lastSuccess, the backups
	// fail.
	// +optional
	LastFailure *metav1.Time `json:"lastFailure,omitempty"`
	// Why the last backup failed. Empty if the last backup is good.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// OperatorStatus is the claim of an operator to a node.
type OperatorStatus struct {
	// The namespace and the name of the operator's installation.
	// +required
	// +kubebuilder:validation:MaxLength=512
	Name string `json:"name"`
	// When the operator renewed its claim. The claim expires 15 minutes later.
	// +required
	RenewTime metav1.Time `json:"renewTime"`
}

// HeartbeatKeyStatus identifies a heartbeat key. It does not contain the key.
type HeartbeatKeyStatus struct {
	// The name of the Secret with the key.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	SecretName string `json:"secretName,omitempty"`
	// The fingerprint of the key, in hex. The first migration also stores this
	// fingerprint in the database. After that migration, the key in the Secret must
	// have this fingerprint.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Fingerprint string `json:"fingerprint,omitempty"`
}

// RotatedKeyStatus is the state of a heartbeat key.
type RotatedKeyStatus struct {
	// The value of spec.heartbeat.rotation for which the operator made the key. The
	// first key has 0.
	// +required
	Rotation           int32 `json:"rotation"`
	HeartbeatKeyStatus `json:",inline"`
	// What the node last reported: "new", "active", "retiring" or "retired". If nothing
	// refers to a key any more, it is retired, and its Secret can be deleted. Absent if
	// the node has not reported the key.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	State string `json:"state,omitempty"`
	// The number of contracts that still need a retiring key. Absent for other keys, and
	// if the node has not counted them yet.
	// +optional
	Contracts *int64 `json:"contracts,omitempty"`
}

// KeyRetired is the state of a key that nothing refers to.
const KeyRetired = "retired"

// The types of the conditions that the operator sets.
const (
	// Ready reports whether farmers can farm and the current spec is in effect: Available
	// is true, and neither Reconciling nor Stalled is. It is false during a rollout.
	Ready = "Ready"
	// Available reports whether farmers can farm: HeartbeatKeyAvailable, APIAvailable and
	// WorkersAvailable are all true, and no fault is open in which most proofs fail. During
	// a rollout the old pods keep it true.
	Available = "Available"
	// Reconciling exists only while it is true: the operator is bringing the current spec
	// into effect. The rules are those of kstatus, the library of Flux.
	Reconciling = "Reconciling"
	// Stalled exists only while it is true: the current spec cannot come into effect
	// until a person solves a problem. The rules are those of kstatus.
	Stalled = "Stalled"
	// Progressing reports whether the node is changing, for example during a
	// migration or a rollout. The change needs no help from a person.
	Progressing = "Progressing"
	// Degraded reports whether the node has a problem that a person must solve.
	Degraded = "Degraded"
	// Paused reports whether spec.paused is true, so the operator does not change the
	// node's objects.
	Paused = "Paused"
	// Hibernated reports whether the node has no pods because of spec.hibernate.
	Hibernated = "Hibernated"
	// HeartbeatKeyAvailable reports whether the Secrets have the heartbeat keys of the
	// node's contracts. Its message also shows the progress of a rotation.
	HeartbeatKeyAvailable = "HeartbeatKeyAvailable"
	// SchemaMigrated reports whether the database has the schema that the image
	// needs.
	SchemaMigrated = "SchemaMigrated"
	// APIAvailable reports whether at least one API replica accepts requests.
	APIAvailable = "APIAvailable"
	// WorkersAvailable reports whether at least one worker reads jobs. It is also
	// true if the number of workers that should run is 0.
	WorkersAvailable = "WorkersAvailable"
	// DatabaseAvailable reports whether the pods can use the database. If not, the
	// message is what a pod's readiness check says.
	DatabaseAvailable = "DatabaseAvailable"
	// QueueAvailable reports whether the pods can use the Redis with the queue.
	QueueAvailable = "QueueAvailable"
	// Faulty reports whether a fault of the node is open. It is unknown if no API replica
	// responds. It became true or false when the fault began or ended.
	Faulty = "Faulty"
)

// ConditionTypes lists the condition types in the order in which people should read
// them.
var ConditionTypes = []string{
	Ready, Available, Reconciling, Stalled, Progressing, Degraded, Paused, Hibernated, HeartbeatKeyAvailable, SchemaMigrated, APIAvailable, WorkersAvailable,
	DatabaseAvailable, QueueAvailable, Faulty,
}
