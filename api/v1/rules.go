package v1

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
)

// HeartbeatType names a proof-of-storage scheme.
//
// +kubebuilder:validation:Enum=Swizzle;Merkle
type HeartbeatType string

// The schemes.
const (
	Swizzle HeartbeatType = "Swizzle"
	Merkle  HeartbeatType = "Merkle"
)

// HeartbeatSpec is the proof-of-storage scheme and its key. Back up the key: workers
// cannot check contracts without the key. The operator makes another key only if
// rotation is raised.
//
// +kubebuilder:validation:XValidation:rule="!has(self.detection) || !has(self.checkFraction) || self.checkFraction == '0.01'",message="set heartbeat.checkFraction or heartbeat.detection, not both"
// +kubebuilder:validation:XValidation:rule="self.type == oldSelf.type",message="heartbeat.type cannot be changed, because every contract was made with a key of the old type; create another DownstreamNode for the new type"
type HeartbeatSpec struct {
	// The scheme. A Swizzle contract lasts as long as the farmer sends proofs. A Merkle
	// contract lasts for a fixed number of challenges, and its proofs are cheaper to
	// check.
	// +optional
	// +kubebuilder:default=Swizzle
	Type HeartbeatType `json:"type,omitempty"`
	// The part of a file that one challenge covers, from 0 to 1, in quotes: "0.01".
	// The operator stores this number in the key that it makes. Later changes have no
	// effect. This field also has no effect on your own key.
	// +optional
	// +kubebuilder:default="0.01"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[0-9]{1,8}([.][0-9]{1,8})?$') || double(self) <= 1.0",message="heartbeat.checkFraction must be from 0 to 1"
	CheckFraction Decimal `json:"checkFraction,omitempty"`
	// The detection that the node wants for files of every size. It replaces the check
	// fraction, also that of a key that you supply.
	// +optional
	Detection *DetectionSpec `json:"detection,omitempty"`
	// The number of challenges of a Merkle contract. A Swizzle contract has no such
	// limit.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65536
	// +kubebuilder:default=256
	Challenges int32 `json:"challenges,omitempty"`
	// Your own key, made with `downstream-node heartbeat new` or restored from a
	// backup. By default, the operator makes a key in the Secret NAME-heartbeat-key.
	// This Secret is not deleted with the DownstreamNode.
	// +optional
	KeySecretRef *HeartbeatKeyRef `json:"keySecretRef,omitempty"`
	// How often the key was replaced; raise it by one to replace the key. With 1, the
	// operator makes a new key in the Secret NAME-heartbeat-key-2. The node keeps the old
	// key until nothing needs it, so farmers lose no contract. A lower number has no
	// effect: the operator removes no key.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	// +kubebuilder:default=0
	Rotation int32 `json:"rotation,omitempty"`
	// The fingerprints of keys that another person may know, as in status.heartbeatKeys;
	// the first 12 digits are enough. The node completes early those contracts of these
	// keys that cannot move to a newer key, and replaces them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	Compromised []Fingerprint `json:"compromised,omitempty"`
}

// Fingerprint is the fingerprint of a heartbeat key, in hex, or its first digits.
//
// +kubebuilder:validation:Pattern=`^[0-9a-f]{12,64}$`
// +kubebuilder:validation:MaxLength=64
type Fingerprint string

// DetectionSpec is a target: a farmer who has lost a part of a file must fail a
// challenge within a time with a probability. The node chooses how much of a file a
// challenge covers. With Merkle, the time must not be longer than a contract.
type DetectionSpec struct {
	// The part of a file that a farmer has lost, above 0 and at most 1, in quotes:
	// "0.01".
	// +required
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[0-9]{1,8}([.][0-9]{1,8})?$') || double(self) > 0.0 && double(self) <= 1.0",message="heartbeat.detection.lost must be above 0 and at most 1"
	Lost Decimal `json:"lost"`
	// The time in seconds in which the farmer must fail a challenge. It counts as at
	// least one challenge.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=315360000
	WithinSeconds int32 `json:"withinSeconds"`
	// The probability with which the farmer must fail, above 0 and below 1, in quotes:
	// "0.99".
	// +required
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[0-9]{1,8}([.][0-9]{1,8})?$') || double(self) > 0.0 && double(self) < 1.0",message="heartbeat.detection.probability must be above 0 and below 1"
	Probability Decimal `json:"probability"`
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
	// The maximum number of bytes under contract for one SJCX address, such as 1Gi.
	// The contracts of all its tokens count.
	// +optional
	// +kubebuilder:default="1Gi"
	// +kubebuilder:validation:XValidation:rule="!isQuantity(self) || quantity(self).compareTo(quantity('1')) >= 0 && quantity(self).compareTo(quantity('1Pi')) <= 0",message="contracts.bytesPerAddress must be from 1 to 1Pi"
	BytesPerAddress Size `json:"bytesPerAddress,omitempty"`
	// The maximum number of contracts of one token that it has not proved once, unless
	// it has proved more; 0 for no limit. An SJCX address and an IP address may have
	// four times as many. The node's default is 20.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	UnprovenPerToken *int32 `json:"unprovenPerToken,omitempty"`
	// The same maximum for the bytes of these contracts, such as 64Mi, which is the
	// node's default; '0' for no limit.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!isQuantity(self) || quantity(self).compareTo(quantity('1Pi')) <= 0",message="contracts.unprovenBytesPerToken must be at most 1Pi"
	UnprovenBytesPerToken Size `json:"unprovenBytesPerToken,omitempty"`
	// The largest share of the waiting chunks that one token may have without a proof,
	// in quotes: '0.1', which is the node's default; '0' for no limit.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[0-9]{1,8}([.][0-9]{1,8})?$') || double(self) <= 1.0",message="contracts.inventoryShare must be from 0 to 1"
	InventoryShare Decimal `json:"inventoryShare,omitempty"`
	// The length in bits of the prefix by which the limits for one IP address count
	// IPv6 addresses. The node's default is 64.
	// +optional
	// +kubebuilder:validation:Minimum=32
	// +kubebuilder:validation:Maximum=128
	IPv6Prefix int32 `json:"ipv6Prefix,omitempty"`
	// How many seconds a token is kept that never had a contract; 0 for ever. The
	// node's default is a day.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=315360000
	UnusedTokenSeconds *int32 `json:"unusedTokenSeconds,omitempty"`
	// The maximum length, in characters, of the message that a farmer signs to get a
	// token.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65536
	// +kubebuilder:default=1024
	MessageLength int32 `json:"messageLength,omitempty"`
	// The maximum number of different wrong proofs for one challenge. The node
	// rejects further proofs for this challenge.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=256
	// +kubebuilder:default=8
	WrongAnswers int32 `json:"wrongAnswers,omitempty"`
}

// ScoreSpec sets how the node rates farmers. An older image refuses these fields, so
// they have no defaults here.
type ScoreSpec struct {
	// The time in hours after which an interval has half of its weight in a farmer's
	// scores. The node's default is 720, 30 days.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=87600
	HalfLifeHours int32 `json:"halfLifeHours,omitempty"`
	// The share of intervals without a missed challenge that a farmer needs, in quotes, such
	// as "0.95". A farmer that almost certainly has less gets no contracts until it has
	// more. Without this field there is no such rule.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.matches('^(0([.][0-9]+)?|1([.]0+)?)$')",message="score.minOnline must be a number from 0 to 1, in quotes, such as '0.95'"
	MinOnline Decimal `json:"minOnline,omitempty"`
	// The same for the share of intervals without a wrong proof.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.matches('^(0([.][0-9]+)?|1([.]0+)?)$')",message="score.minCorrect must be a number from 0 to 1, in quotes, such as '0.999'"
	MinCorrect Decimal `json:"minCorrect,omitempty"`
}

// PageSpec is what the node's page says about the node. An older image refuses these
// fields, so they have no defaults here.
type PageSpec struct {
	// The name of the node. Without a name, the page shows the host that the visitor asked for.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Name string `json:"name,omitempty"`
	// Where farmers reach the operator: a mail address, or an http or https URL.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^(https?://[^ /]+[^ ]*|[^ @:<>]+@[^ @:<>]+)$')",message="page.contact must be a mail address such as operator@example.org, or an http or https URL"
	Contact string `json:"contact,omitempty"`
	// An announcement that every page shows at its top.
	// +optional
	// +kubebuilder:validation:MaxLength=500
	Announcement string `json:"announcement,omitempty"`
}

// InventorySpec sets which encoded chunks the node keeps ready for farmers. The chunk
// sizes are the powers of base from minChunkSize to maxChunkSize. There are about
// equally many chunks of each size.
//
// +kubebuilder:validation:XValidation:rule="!isQuantity(self.minChunkSize) || !isQuantity(self.maxChunkSize) || quantity(self.minChunkSize).compareTo(quantity(self.maxChunkSize)) <= 0",message="inventory.minChunkSize must not be more than inventory.maxChunkSize"
// +kubebuilder:validation:XValidation:rule="!isQuantity(self.totalSize) || !isQuantity(self.maxChunkSize) || quantity(self.totalSize).compareTo(quantity(self.maxChunkSize)) >= 0 || !quantity(self.totalSize).isGreaterThan(quantity('0'))",message="inventory.totalSize must be 0 or at least inventory.maxChunkSize: otherwise no chunk of that size fits"
type InventorySpec struct {
	// The minimum chunk size, such as 1Ki.
	// +optional
	// +kubebuilder:default="1Ki"
	// +kubebuilder:validation:XValidation:rule="!isQuantity(self) || quantity(self).compareTo(quantity('32')) >= 0",message="inventory.minChunkSize must be at least 32: a farmer could guess a smaller chunk"
	MinChunkSize Size `json:"minChunkSize,omitempty"`
	// The maximum chunk size, such as 32Mi.
	// +optional
	// +kubebuilder:default="32Mi"
	// +kubebuilder:validation:XValidation:rule="!isQuantity(self) || quantity(self).compareTo(quantity('1Pi')) <= 0",message="inventory.maxChunkSize must be at most 1Pi"
	MaxChunkSize Size `json:"maxChunkSize,omitempty"`
	// The total size of all chunks in a full inventory, such as 100Gi. It must be at
	// least maxChunkSize, or 0 for no inventory. The inventory needs little storage:
	// the node stores only tags and generates the chunks from seeds.
	// +optional
	// +kubebuilder:default="1Gi"
	// +kubebuilder:validation:XValidation:rule="!isQuantity(self) || quantity(self).compareTo(quantity('1Pi')) <= 0",message="inventory.totalSize must be at most 1Pi"
	TotalSize Size `json:"totalSize,omitempty"`
	// The ratio of each chunk size to the next smaller size, in quotes: "2". It must
	// be a whole number from 2 to 1024.
	// +optional
	// +kubebuilder:default="2"
	// +kubebuilder:validation:XValidation:rule="self.matches('^0*([2-9]|[1-9][0-9]{1,2}|10[01][0-9]|102[0-4])([.]0+)?$')",message="inventory.base must be a whole number from 2 to 1024, in quotes, such as '2'"
	Base Decimal `json:"base,omitempty"`
	// How many farmers should hold each file. The node's default is 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=8
	Redundancy int32 `json:"redundancy,omitempty"`
	// The number of files that a worker encodes at the same time.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1024
	// +kubebuilder:default=1
	Encoders int32 `json:"encoders,omitempty"`
}

// AccessSpec sets what a farmer must prove to get a token.
type AccessSpec struct {
	// Whether a farmer must prove with a signature that it owns its address.
	// +optional
	// +kubebuilder:default=true
	Signatures *bool `json:"signatures,omitempty"`
}

// WhitelistSpec is the list of addresses that may farm.
type WhitelistSpec struct {
	// The ConfigMap with the list as CSV. The first row has headings. Every other row
	// begins with an address and its balance. The operator loads the list again when
	// the list changes. An address that is no longer in the list loses its tokens and
	// contracts.
	// +required
	ConfigMapRef WhitelistRef `json:"configMapRef"`
	// The minimum balance, in whole SJCX, of an address that may farm.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	// +kubebuilder:default=10000
	MinBalance *int64 `json:"minBalance,omitempty"`
}

// WorkersSpec sets the workers. Workers check proofs, fill the inventory and clean up
// expired contracts.
type WorkersSpec struct {
	// The number of workers. `kubectl scale` changes this field. The field is ignored
	// if workers.autoscaling is set.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	// +kubebuilder:default=1
	Replicas *int32 `json:"replicas,omitempty"`
	// If set, the operator scales the workers with the backlog.
	// +optional
	Autoscaling *WorkersAutoscaling `json:"autoscaling,omitempty"`
	// The number of jobs that a worker verifies at the same time. 0 means the number
	// of its CPUs.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4096
	Concurrency int32 `json:"concurrency,omitempty"`
	// The resources of each worker. To check proofs, a worker needs CPU. To encode
	// files for the inventory, it needs memory.
	// +optional
	// +kubebuilder:default={requests: {cpu: "200m", memory: "256Mi"}, limits: {memory: "1Gi"}}
	Resources Resources `json:"resources,omitzero"`
	// The time in seconds in which a stopping worker can finish its jobs in flight.
	// After that, other workers verify the unfinished jobs.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=600
	// +kubebuilder:default=20
	DrainTimeoutSeconds int32 `json:"drainTimeoutSeconds,omitempty"`
	// A pod template (`metadata` and `spec`) that is merged into the pods of the workers,
	// by strategic merge. The operator's container has the name "workers".
	// docs/how-to/kubernetes-fit.md says what a template cannot change.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	PodTemplate *runtime.RawExtension `json:"podTemplate,omitempty"`
}

// JobsSpec sets the Jobs that migrate the database, load the whitelist and announce
// maintenances.
type JobsSpec struct {
	// A pod template (`metadata` and `spec`) that is merged into the pods of the Jobs, by
	// strategic merge. The operator's container has the name "job". A Job ends only if
	// all its containers end, so a sidecar must be an init container with restartPolicy
	// Always. docs/how-to/kubernetes-fit.md says what a template cannot change.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	PodTemplate *runtime.RawExtension `json:"podTemplate,omitempty"`
}

// WorkersAutoscaling sets how the operator scales the workers. The backlog is the
// number of jobs that wait or are being verified. The API splits a request with many
// proofs into several jobs. If the operator cannot read the backlog, the number of
// workers does not change.
//
// +kubebuilder:validation:XValidation:rule="self.min <= self.max",message="workers.autoscaling.min must not be more than workers.autoscaling.max"
type WorkersAutoscaling struct {
	// The minimum number of workers. If 0, no worker runs when the backlog is 0. Then
	// no worker fills the inventory or cleans up expired contracts, and the first
	// proofs wait until a worker has started.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	// +kubebuilder:default=1
	Min *int32 `json:"min,omitempty"`
	// The maximum number of workers.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Max int32 `json:"max"`
	// The number of jobs in the backlog for each worker. The number of workers is the
	// backlog divided by this number, rounded up.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	// +kubebuilder:default=20
	TargetBacklogPerWorker int32 `json:"targetBacklogPerWorker,omitempty"`
	// The time in seconds for which a smaller number of workers must be enough before
	// the operator removes workers. The operator adds workers without a delay.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=3600
	// +kubebuilder:default=120
	ScaleDownDelaySeconds *int32 `json:"scaleDownDelaySeconds,omitempty"`
}

// MaintenanceSpec is a time in which the node cannot take proofs.
type MaintenanceSpec struct {
	// When it starts, such as 2026-03-14T09:00:00Z. Announce it at least one interval
	// earlier, because some farmers' clients give up contracts that are due in it.
	// +required
	// +kubebuilder:validation:MaxLength=25
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^[-0-9]{10}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[-+][0-9]{2}:[0-9]{2})$`
	Start string `json:"start"`
	// How long it takes, such as 2h or 90m, at most 168h.
	// +required
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}[hms])+$')",message="maintenance.duration must be a time such as 2h, 90m or 1h30m"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^([0-9]{1,6}[hms])+$') || duration(self) > duration('0s') && duration(self) <= duration('168h')",message="maintenance.duration must be more than 0s and at most 168h"
	Duration string `json:"duration"`
	// What the status page says about it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	Reason string `json:"reason,omitempty"`
}

// Times returns when the maintenance starts and ends.
func (m *MaintenanceSpec) Times() (start, end time.Time, err error) {
	if start, err = time.Parse(time.RFC3339, m.Start); err != nil {
		return start, end, fmt.Errorf("spec.maintenance.start: %w", err)
	}
	length, err := time.ParseDuration(m.Duration)
	if err != nil {
		return start, end, fmt.Errorf("spec.maintenance.duration: %w", err)
	}
	return start, start.Add(length), nil
}
