package v1alpha1

// HeartbeatType names a proof-of-storage scheme.
//
// +kubebuilder:validation:Enum=Swizzle;Merkle
type HeartbeatType string

// The schemes.
const (
	Swizzle HeartbeatType = "Swizzle"
	Merkle  HeartbeatType = "Merkle"
)

// HeartbeatSpec is the proof-of-storage scheme and its key. Back the key up:
// contracts cannot be checked without it. The operator makes a key once and never
// replaces it.
//
// +kubebuilder:validation:XValidation:rule="self.type == oldSelf.type",message="heartbeat.type cannot be changed, because every contract was made with a key of the old type; create another DownstreamNode for the new type"
type HeartbeatSpec struct {
	// The scheme. A Swizzle contract lasts as long as the farmer sends proofs. A Merkle
	// contract lasts for a fixed number of challenges, and its proofs are cheaper to
	// check.
	// +optional
	// +kubebuilder:default=Swizzle
	Type HeartbeatType `json:"type,omitempty"`
	// The part of a file that one challenge covers, from 0 to 1, in quotes: "0.01". It
	// is stored with the key. It applies only to a key that the operator makes, and
	// cannot be changed afterwards.
	// +optional
	// +kubebuilder:default="0.01"
	// +kubebuilder:validation:XValidation:rule="double(self) <= 1.0",message="heartbeat.checkFraction must be from 0 to 1"
	CheckFraction Decimal `json:"checkFraction,omitempty"`
	// The number of challenges of a Merkle contract. Swizzle has no such limit.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65536
	// +kubebuilder:default=256
	Challenges int32 `json:"challenges,omitempty"`
	// Your own key, made with `downstream-node heartbeat new` or restored from a backup.
	// By default the operator makes one in the Secret NAME-heartbeat-key, which stays
	// when the DownstreamNode is deleted.
	// +optional
	KeySecretRef *HeartbeatKeyRef `json:"keySecretRef,omitempty"`
}

// ContractsSpec sets the contracts that farmers get, and their limits.
type ContractsSpec struct {
	// The time in seconds that a farmer has for each challenge.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2592000
	// +kubebuilder:default=300
	IntervalSeconds int32 `json:"intervalSeconds,omitempty"`
	// The maximum number of tokens for one IP address.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	// +kubebuilder:default=5
	TokensPerIP int32 `json:"tokensPerIP,omitempty"`
	// The maximum number of contracts in the response to one request.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	// +kubebuilder:default=10
	ContractsPerRequest int32 `json:"contractsPerRequest,omitempty"`
	// The maximum number of bytes under contract for one SJCX address, over all its
	// tokens, such as 1Gi.
	// +optional
	// +kubebuilder:default="1Gi"
	// +kubebuilder:validation:XValidation:rule="quantity(self).compareTo(quantity('1')) >= 0 && quantity(self).compareTo(quantity('1Pi')) <= 0",message="contracts.bytesPerAddress must be from 1 to 1Pi"
	BytesPerAddress Size `json:"bytesPerAddress,omitempty"`
	// The maximum number of characters of the message that a farmer signs for a token.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65536
	// +kubebuilder:default=1024
	MessageLength int32 `json:"messageLength,omitempty"`
	// The number of different wrong proofs after which a challenge accepts no more.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	// +kubebuilder:default=8
	WrongAnswers int32 `json:"wrongAnswers,omitempty"`
}

// InventorySpec sets the stock of encoded chunks. Each chunk size is the next
// smaller one times base.
//
// +kubebuilder:validation:XValidation:rule="quantity(self.minChunkSize).compareTo(quantity(self.maxChunkSize)) <= 0",message="inventory.minChunkSize must not be more than inventory.maxChunkSize"
// +kubebuilder:validation:XValidation:rule="quantity(self.totalSize).compareTo(quantity(self.maxChunkSize)) >= 0 || !quantity(self.totalSize).isGreaterThan(quantity('0'))",message="inventory.totalSize must be 0 or at least inventory.maxChunkSize: otherwise no chunk of that size fits"
type InventorySpec struct {
	// The size of the smallest chunks, such as 1Ki.
	// +optional
	// +kubebuilder:default="1Ki"
	// +kubebuilder:validation:XValidation:rule="quantity(self).compareTo(quantity('32')) >= 0",message="inventory.minChunkSize must be at least 32: a farmer could guess a smaller chunk"
	MinChunkSize Size `json:"minChunkSize,omitempty"`
	// The size of the largest chunks, such as 32Mi.
	// +optional
	// +kubebuilder:default="32Mi"
	// +kubebuilder:validation:XValidation:rule="quantity(self).compareTo(quantity('1Pi')) <= 0",message="inventory.maxChunkSize must be at most 1Pi"
	MaxChunkSize Size `json:"maxChunkSize,omitempty"`
	// The total bytes of the chunks in a full inventory, such as 100Gi: at least
	// maxChunkSize, or 0 for no inventory. It needs little storage, because only tags
	// are stored; chunks are generated from seeds.
	// +optional
	// +kubebuilder:default="1Gi"
	// +kubebuilder:validation:XValidation:rule="quantity(self).compareTo(quantity('1Pi')) <= 0",message="inventory.totalSize must be at most 1Pi"
	TotalSize Size `json:"totalSize,omitempty"`
	// The factor between two chunk sizes, in quotes: "2".
	// +optional
	// +kubebuilder:default="2"
	// +kubebuilder:validation:XValidation:rule="double(self) >= 1.01 && double(self) <= 1024.0",message="inventory.base must be from 1.01 to 1024"
	Base Decimal `json:"base,omitempty"`
	// The number of files that a worker encodes at the same time.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1024
	// +kubebuilder:default=1
	Encoders int32 `json:"encoders,omitempty"`
}

// AccessSpec sets what a farmer must prove.
type AccessSpec struct {
	// Whether a farmer must prove by a signature that it owns its address.
	// +optional
	// +kubebuilder:default=true
	Signatures *bool `json:"signatures,omitempty"`
}

// WhitelistSpec is the list of addresses that may farm.
type WhitelistSpec struct {
	// The ConfigMap with the list as CSV: a row of headings, then rows that begin with
	// address and balance. The list is loaded again when it changes. An address that is
	// no longer in it loses its tokens and contracts.
	// +required
	ConfigMapRef WhitelistRef `json:"configMapRef"`
	// The minimum balance of an address, in whole SJCX.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	// +kubebuilder:default=10000
	MinBalance *int64 `json:"minBalance,omitempty"`
}

// WorkersSpec sets the workers, which check proofs, fill the inventory and expire
// contracts.
type WorkersSpec struct {
	// The number of workers, which `kubectl scale` sets. Not used if workers.autoscaling
	// is set.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	// +kubebuilder:default=1
	Replicas *int32 `json:"replicas,omitempty"`
	// Makes the operator set the number of workers by the backlog.
	// +optional
	Autoscaling *WorkersAutoscaling `json:"autoscaling,omitempty"`
	// The number of jobs that a worker verifies at the same time; 0 means the number of
	// its CPUs.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4096
	Concurrency int32 `json:"concurrency,omitempty"`
	// The resources of each worker. Checking proofs needs CPU; encoding files for the
	// inventory needs memory.
	// +optional
	// +kubebuilder:default={requests: {cpu: "200m", memory: "256Mi"}, limits: {memory: "1Gi"}}
	Resources Resources `json:"resources,omitzero"`
	// How long, in seconds, a stopping worker may take for its jobs in flight. Other
	// workers take over the jobs that remain.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=600
	// +kubebuilder:default=20
	DrainTimeoutSeconds int32 `json:"drainTimeoutSeconds,omitempty"`
}

// WorkersAutoscaling sets how the operator scales the workers. The backlog counts
// jobs; a request with many proofs makes several jobs. If the backlog cannot be
// read, the number of workers does not change.
//
// +kubebuilder:validation:XValidation:rule="self.min <= self.max",message="workers.autoscaling.min must not be more than workers.autoscaling.max"
type WorkersAutoscaling struct {
	// The smallest number of workers. With 0, no worker runs while no job waits: the
	// inventory is not filled, and the first proofs wait until a pod has started.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	// +kubebuilder:default=1
	Min *int32 `json:"min,omitempty"`
	// The largest number of workers.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Max int32 `json:"max"`
	// The backlog for one worker. The number of workers is the backlog divided by this,
	// rounded up.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	// +kubebuilder:default=20
	TargetBacklogPerWorker int32 `json:"targetBacklogPerWorker,omitempty"`
	// How long, in seconds, fewer workers must be enough before the operator removes
	// some. It adds workers at once.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=3600
	// +kubebuilder:default=120
	ScaleDownDelaySeconds *int32 `json:"scaleDownDelaySeconds,omitempty"`
}
