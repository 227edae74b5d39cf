package desired

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/driveshare/downstream-node/api/v1alpha1"
)

// Node is a DownstreamNode, with defaults, and what its spec only refers to.
type Node struct {
	*v1alpha1.DownstreamNode
	// DefaultImage is used where the spec names none.
	DefaultImage string
	// Inputs is what the objects hold that the spec refers to.
	Inputs Inputs
}

// Inputs are the contents that pods read besides their configuration. They
// only ever go into hashes.
type Inputs struct {
	Key       []byte // the private heartbeat file
	DSN       []byte // the MySQL data source name
	RedisURL  []byte
	Whitelist []byte // the CSV
}

// Role is a kind of pod of a node.
type Role string

// The roles.
const (
	API       Role = "api"
	Workers   Role = "workers"
	Migration Role = "migration"
	Whitelist Role = "whitelist"
	MySQL     Role = "mysql"
	Redis     Role = "redis"
)

// The ports of API and workers.
const (
	farmersPort = 5000
	privatePort = 9090
)

// Labels and annotations.
const (
	labelName      = "app.kubernetes.io/name"
	labelInstance  = "app.kubernetes.io/instance"
	labelComponent = "app.kubernetes.io/component"
	labelManagedBy = "app.kubernetes.io/managed-by"
	appName        = "downstream-node"
	manager        = "downstream-operator"

	// prefix begins the labels and annotations that are the operator's own.
	prefix = "downstream.driveshare.org/"
	// labelMetrics is on pods whose metrics can be read.
	labelMetrics = prefix + "metrics"
	// annotationConfigHash is on pod templates.
	annotationConfigHash = prefix + "config-hash"
	// AnnotationFingerprint is on the Secret with the heartbeat key.
	AnnotationFingerprint = prefix + "fingerprint"
)

// image is the image of API, workers and jobs.
func (n *Node) image() string {
	if n.Spec.Image != "" {
		return n.Spec.Image
	}
	return n.DefaultImage
}

// ObjectName is the name of the objects of a role.
func (n *Node) ObjectName(role Role) string { return n.Name + "-" + string(role) }

// KeySecret is the name of the Secret with the heartbeat key, and the key
// within it.
func (n *Node) KeySecret() (name, key string) {
	if ref := n.Spec.Heartbeat.KeySecretRef; ref != nil {
		return ref.Name, ref.Key
	}
	return n.Name + "-heartbeat-key", "heartbeat.json"
}

// DSNSecret is the name of the Secret with the data source name, and the key
// within it.
func (n *Node) DSNSecret() (name, key string) {
	if ref := n.Spec.MySQL.DSNSecretRef; ref != nil {
		return ref.Name, ref.Key
	}
	return n.ObjectName(MySQL), "dsn"
}

// RedisSecret is the name of the Secret with the Redis URL, and the key within
// it.
func (n *Node) RedisSecret() (name, key string) {
	if ref := n.Spec.Redis.URLSecretRef; ref != nil {
		return ref.Name, ref.Key
	}
	return n.ObjectName(Redis), "url"
}

// RedisName is the node's name within Redis: the namespace of its keys.
func (n *Node) RedisName() string { return n.Namespace + "." + n.Name }

// Selector selects the pods of a role. It never changes, for a Deployment
// cannot change its own.
func (n *Node) Selector(role Role) map[string]string {
	return map[string]string{
		labelName:      appName,
		labelInstance:  n.Name,
		labelComponent: string(role),
	}
}

// Labels are the labels of the objects of a role.
func (n *Node) Labels(role Role) map[string]string {
	labels := n.Selector(role)
	labels[labelManagedBy] = manager
	return labels
}

func (n *Node) selector(role Role) *metav1ac.LabelSelectorApplyConfiguration {
	return metav1ac.LabelSelector().WithMatchLabels(n.Selector(role))
}

// owner makes the garbage collector delete an object with the node. The
// apply is refused where another controller owns the object already.
func (n *Node) owner() *metav1ac.OwnerReferenceApplyConfiguration {
	return metav1ac.OwnerReference().
		WithAPIVersion(v1alpha1.GroupVersion.String()).
		WithKind("DownstreamNode").
		WithName(n.Name).
		WithUID(n.UID).
		WithController(true).
		WithBlockOwnerDeletion(true)
}

// meta is the metadata of an object that is made with Create, and not applied.
func (n *Node) meta(role Role, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: n.Namespace, Labels: n.Labels(role)}
}
