package v1alpha1

import (
	"strconv"

	"k8s.io/apimachinery/pkg/api/resource"
)

// Size is a number of bytes, as text and with or without a unit, such as 32Mi.
// It is no resource.Quantity, whose schema has no bound on its length, without
// which the API server takes no rule about it.
//
// +kubebuilder:validation:MaxLength=20
// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{1,16}([kMGTP]|[KMGTP]i)?$')",message="must be a number of bytes in quotes or with a unit, such as '1024', 1G or 32Mi"
type Size string

// Bytes is the number. A Size that the schema let in can always be read.
func (s Size) Bytes() int64 {
	q, err := resource.ParseQuantity(string(s))
	if err != nil {
		return 0
	}
	return q.Value()
}

// Decimal is a number that need not be whole, as text, such as 0.01: floating
// point numbers in a schema are not the same to every reader.
//
// +kubebuilder:validation:MaxLength=20
// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{1,8}([.][0-9]{1,8})?$')",message="must be a decimal number in quotes, such as '0.01'"
type Decimal string

// Float64 is the number. A Decimal that the schema let in can always be read.
func (d Decimal) Float64() float64 {
	f, err := strconv.ParseFloat(string(d), 64)
	if err != nil {
		return 0
	}
	return f
}

// Text is a value of a label or an annotation.
//
// +kubebuilder:validation:MaxLength=4096
type Text string

// ObjectReference names an object in the namespace of the DownstreamNode.
type ObjectReference struct {
	// Its name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// DSNRef is a key of a Secret with a data source name.
type DSNRef struct {
	ObjectReference `json:",inline"`
	// The key within the Secret.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:default=dsn
	Key string `json:"key,omitempty"`
}

// URLRef is a key of a Secret with a URL.
type URLRef struct {
	ObjectReference `json:",inline"`
	// The key within the Secret.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:default=url
	Key string `json:"key,omitempty"`
}

// HeartbeatKeyRef is a key of a Secret with a private heartbeat file.
type HeartbeatKeyRef struct {
	ObjectReference `json:",inline"`
	// The key within the Secret.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:default=heartbeat.json
	Key string `json:"key,omitempty"`
}

// WhitelistRef is a key of a ConfigMap with a whitelist.
type WhitelistRef struct {
	ObjectReference `json:",inline"`
	// The key within the ConfigMap.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:default=whitelist.csv
	Key string `json:"key,omitempty"`
}

// GeoIPRef is a key of a Secret or a ConfigMap with a location database.
type GeoIPRef struct {
	ObjectReference `json:",inline"`
	// The key within it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:default="GeoLite2-City.mmdb"
	Key string `json:"key,omitempty"`
}
