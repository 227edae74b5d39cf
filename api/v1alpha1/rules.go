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

// HeartbeatSpec is the proof-of-storage scheme and its key. The key is made
// once. Without it no contract can be checked, so back it up; the operator
// never makes another in its place.
//
// +kubebuilder:validation:XValidation:rule="self.type == oldSelf.type",message="heartbeat.type cannot be changed: every contract was made with the key of the old type; make another DownstreamNode for the new one"
type HeartbeatSpec struct {
	// The scheme. Swizzle contracts last for as long as the farmer answers;
	// Merkle ones for a fixed number of challenges, with proofs that are cheaper
	// to check.
	// +optional
	// +kubebuilder:default=Swizzle
	Type HeartbeatType `json:"type,omitempty"`
	// The part of a file that one challenge covers, from 0 to 1, in quotes: "0.01".
	// Kept with the key, so it holds for a key that the operator makes and is not
	// changed afterwards.
	// +optional
	// +kubebuilder:default="0.01"
	// +kubebuilder:validation:XValidation:rule="double(self) <= 1.0",message="heartbeat.checkFraction must be from 0 to 1"
	CheckFraction Decimal `json:"checkFraction,omitempty"`
	// How many challenges a Merkle contract lasts. Swizzle has no such limit.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65536
	// +kubebuilder:default=256
	Challenges int32 `json:"challenges,omitempty"`
	// A key of your own, made with `downstream-node heartbeat new` or taken from
	// a backup. Without it the operator makes one, in the Secret NAME-heartbeat-key,
	// which stays when the DownstreamNode is deleted.
	// +optional
	KeySecretRef *HeartbeatKeyRef `json:"keySecretRef,omitempty"`
}

// ContractsSpec is what farmers are given, and the limits on it.
type ContractsSpec struct {
	// How long, in seconds, a farmer has for each challenge.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2592000
	// +kubebuilder:default=300
	IntervalSeconds int32 `json:"intervalSeconds,omitempty"`
	// The most tokens of one IP address.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	// +kubebuilder:default=5
	TokensPerIP int32 `json:"tokensPerIP,omitempty"`
	// The most contracts that one request gets.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	// +kubebuilder:default=10
	ContractsPerRequest int32 `json:"contractsPerRequest,omitempty"`
	// The most bytes under contract for one SJCX address, over all its tokens,
	// such as 1Gi.
	// +optional
	// +kubebuilder:default="1Gi"
	// +kubebuilder:validation:XValidation:rule="quantity(self).compareTo(quantity('1')) >= 0 && quantity(self).compareTo(quantity('1Pi')) <= 0",message="contracts.bytesPerAddress must be from 1 to 1Pi"
	BytesPerAddress Size `json:"bytesPerAddress,omitempty"`
	// The most characters of the message that a farmer signs for a token.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65536
	// +kubebuilder:default=1024
	MessageLength int32 `json:"messageLength,omitempty"`
	// How many different wrong proofs a challenge may get before no more are
	// taken.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	// +kubebuilder:default=8
	WrongAnswers int32 `json:"wrongAnswers,omitempty"`
}

// InventorySpec is the stock of encoded chunks. Their sizes go from the
// smallest up by the factor base.
//
// +kubebuilder:validation:XValidation:rule="quantity(self.minChunkSize).compareTo(quantity(self.maxChunkSize)) <= 0",message="inventory.minChunkSize must not be more than inventory.maxChunkSize"
// +kubebuilder:validation:XValidation:rule="quantity(self.totalSize).compareTo(quantity(self.maxChunkSize)) >= 0 || !quantity(self.totalSize).isGreaterThan(quantity('0'))",message="inventory.totalSize must not be less than inventory.maxChunkSize, of which no chunk would fit, unless it is 0"
type InventorySpec struct {
	// The size of the smallest chunks, such as 1Ki.
	// +optional
	// +kubebuilder:default="1Ki"
	// +kubebuilder:validation:XValidation:rule="quantity(self).compareTo(quantity('32')) >= 0",message="inventory.minChunkSize must be at least 32: a smaller chunk could be guessed"
	MinChunkSize Size `json:"minChunkSize,omitempty"`
	// The size of the largest chunks, such as 32Mi.
	// +optional
	// +kubebuilder:default="32Mi"
	// +kubebuilder:validation:XValidation:rule="quantity(self).compareTo(quantity('1Pi')) <= 0",message="inventory.maxChunkSize must be at most 1Pi"
	MaxChunkSize Size `json:"maxChunkSize,omitempty"`
	// The bytes that the chunks add up to when the inventory is full, such as
	// 100Gi; at least maxChunkSize, or 0 to stock none. It takes little room: the
	// content is made again from seeds, only tags are stored.
	// +optional
	// +kubebuilder:default="1Gi"
	// +kubebuilder:validation:XValidation:rule="quantity(self).compareTo(quantity('1Pi')) <= 0",message="inventory.totalSize must be at most 1Pi"
	TotalSize Size `json:"totalSize,omitempty"`
	// The factor between one chunk size and the next, in quotes: "2".
	// +optional
	// +kubebuilder:default="2"
	// +kubebuilder:validation:XValidation:rule="double(self) >= 1.01 && double(self) <= 1024.0",message="inventory.base must be from 1.01 to 1024"
	Base Decimal `json:"base,omitempty"`
	// How many files a worker encodes at once.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1024
	// +kubebuilder:default=1
	Encoders int32 `json:"encoders,omitempty"`
}

// AccessSpec is what a farmer must show.
type AccessSpec struct {
	// Whether a farmer must prove with a signature that an address is its own.
	// +optional
	// +kubebuilder:default=true
	Signatures *bool `json:"signatures,omitempty"`
}

// WhitelistSpec is the list of addresses that may farm.
type WhitelistSpec struct {
	// The ConfigMap with the list as CSV: a row of headings, then rows that begin
	// with address and balance. When it changes, it is loaded again, and an address
	// that is gone from it loses its tokens and contracts.
	// +required
	ConfigMapRef WhitelistRef `json:"configMapRef"`
	// The least balance, in whole SJCX, with which an address is let in.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	// +kubebuilder:default=10000
	MinBalance *int64 `json:"minBalance,omitempty"`
}
