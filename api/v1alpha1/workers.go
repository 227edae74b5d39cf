package v1alpha1

// WorkersSpec is the pool that checks proofs, stocks the inventory and sweeps.
type WorkersSpec struct {
	// How many workers there are; what `kubectl scale` sets. Not used while
	// workers.autoscaling is set.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	// +kubebuilder:default=1
	Replicas *int32 `json:"replicas,omitempty"`
	// Lets the operator choose the number of workers by the work that waits.
	// +optional
	Autoscaling *WorkersAutoscaling `json:"autoscaling,omitempty"`
	// How many jobs a worker verifies at once; 0 for as many as it has
	// processors.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4096
	Concurrency int32 `json:"concurrency,omitempty"`
	// What each worker is given. Proofs are checked as fast as there are
	// processors; memory goes to encoding files for the inventory.
	// +optional
	// +kubebuilder:default={requests: {cpu: "200m", memory: "256Mi"}, limits: {memory: "1Gi"}}
	Resources Resources `json:"resources,omitzero"`
	// How long, in seconds, a worker that is to stop may take for the jobs in
	// hand. What is left then goes to other workers.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=600
	// +kubebuilder:default=20
	DrainTimeoutSeconds int32 `json:"drainTimeoutSeconds,omitempty"`
}

// WorkersAutoscaling is how the operator sizes the pool. The backlog counts
// jobs; an answer with many proofs is several jobs. When the backlog cannot be
// read, the number of workers stays as it is.
//
// +kubebuilder:validation:XValidation:rule="self.min <= self.max",message="workers.autoscaling.min must not be more than workers.autoscaling.max"
type WorkersAutoscaling struct {
	// The fewest workers. With 0 there are none while nothing waits; then nobody
	// stocks the inventory either, and the first proofs wait for a pod to start.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	// +kubebuilder:default=1
	Min *int32 `json:"min,omitempty"`
	// The most workers.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Max int32 `json:"max"`
	// The backlog that one worker is there for: so many workers as the backlog
	// holds this number, rounded up.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	// +kubebuilder:default=20
	TargetBacklogPerWorker int32 `json:"targetBacklogPerWorker,omitempty"`
	// How long, in seconds, fewer workers must have been enough before some are
	// taken away. More are added at once.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=3600
	// +kubebuilder:default=120
	ScaleDownDelaySeconds *int32 `json:"scaleDownDelaySeconds,omitempty"`
}
