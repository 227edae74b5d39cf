// Package desired builds the objects of a DownstreamNode. Every builder is a pure
// function of a [Node]: it reads neither the cluster nor a clock. The golden
// files in testdata show the result of each builder.
//
// The builders return apply configurations, which hold only the fields that the
// operator sets. Fields that other clients set on the same object stay.
//
// Invariants: selectors and the names of Deployments do not depend on the spec, so an
// upgrade never leaves pods without a Deployment. The pod template of a Deployment
// contains a hash of the configuration, the keys and the database addresses, so a
// change of these inputs replaces the pods.
package desired

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/driveshare/downstream-node/api/v1"
)

// Node is a DownstreamNode with its defaults, and with the contents of the Secrets
// and ConfigMaps that its spec names.
type Node struct {
	*v1.DownstreamNode
	// DefaultImage is the image if the spec names no image.
	DefaultImage string
	// Hibernated says that the evaluation databases have no pods.
	Hibernated bool
	// OnOpenShift says whether the cluster is an OpenShift, if the spec does not say it.
	OnOpenShift bool
	// Inputs are the contents of the Secrets and ConfigMaps that the spec names.
	Inputs Inputs
}

// Inputs are the contents that pods read besides their configuration. Builders
// use them only in hashes.
type Inputs struct {
	Keys      []Key             // the heartbeat keys that the pods read, the newest first
	MySQL     map[string][]byte // the contents of MySQLFiles and ReplicaFiles, by their names
	Redis     map[string][]byte // the contents of RedisFiles, by their names
	Whitelist []byte            // the CSV file
}

// Key is a heartbeat key.
type Key struct {
	Rotation int32  // the value of spec.heartbeat.rotation for which the key was made
	File     []byte // the private heartbeat file
}

// Role is the part of a node that an object belongs to.
type Role string

// The roles. Metrics has no pods, only a Service. Jobs has no pods either, only a
// network policy for the pods of Migration, Whitelist, Maintenance and Backup.
const (
	API         Role = "api"
	Workers     Role = "workers"
	Migration   Role = "migration"
	Whitelist   Role = "whitelist"
	Maintenance Role = "maintenance"
	Backup      Role = "backup"
	MySQL       Role = "mysql"
	Redis       Role = "redis"
	Metrics     Role = "metrics"
	Jobs        Role = "jobs"
)

// The ports of API and workers.
const (
	farmersPort = 5000
	// PrivatePort serves metrics and health checks.
	PrivatePort = 9090
)

// Labels and annotations.
const (
	labelName      = "app.kubernetes.io/name"
	labelInstance  = "app.kubernetes.io/instance"
	labelComponent = "app.kubernetes.io/component"
	labelManagedBy = "app.kubernetes.io/managed-by"
	appName        = "downstream-node"
	manager        = "downstream-operator"

	// prefix starts the operator's own labels and annotations.
	prefix = "downstream.driveshare.org/"
	// labelMetrics marks pods that serve metrics.
	labelMetrics = prefix + "metrics"
	// annotationConfigHash is set on pod templates.
	annotationConfigHash = prefix + "config-hash"
	// AnnotationTemplateHash is set on Jobs.
	AnnotationTemplateHash = prefix + "template-hash"
	// annotationFingerprint is set on the Secret with the heartbeat key.
	annotationFingerprint = prefix + "fingerprint"
)

// image returns the image of API, workers and Jobs.
func (n *Node) image() string {
	if n.Spec.Image != "" {
		return n.Spec.Image
	}
	return n.DefaultImage
}

func (n *Node) openShift() bool { return ptr.Deref(n.Spec.OpenShift, n.OnOpenShift) }

// ObjectName returns the name of the objects of a role.
func (n *Node) ObjectName(role Role) string { return n.Name + "-" + string(role) }

// KeySecret returns the name of the Secret with the heartbeat key file of a rotation,
// and the name of the file's entry in that Secret.
func (n *Node) KeySecret(rotation int32) (name, key string) {
	switch ref := n.Spec.Heartbeat.KeySecretRef; {
	case rotation > 0:
		return fmt.Sprintf("%s-heartbeat-key-%d", n.Name, rotation+1), "heartbeat.json"
	case ref != nil:
		return ref.Name, ref.Key
	}
	return n.Name + "-heartbeat-key", "heartbeat.json"
}

// Rotation returns the rotation of the newest key. It is never less than a rotation in
// the status, so a lower number in the spec removes no key.
func (n *Node) Rotation() int32 {
	newest := n.Spec.Heartbeat.Rotation
	for _, key := range n.Status.HeartbeatKeys {
		newest = max(newest, key.Rotation)
	}
	return newest
}

// RedisName returns the prefix of the node's keys in Redis.
func (n *Node) RedisName() string { return n.Namespace + "." + n.Name }

// Selector selects the pods of a role. It never changes: the selector of a
// Deployment is immutable.
func (n *Node) Selector(role Role) map[string]string {
	return map[string]string{
		labelName:      appName,
		labelInstance:  n.Name,
		labelComponent: string(role),
	}
}

// Labels returns the labels of the objects of a role.
func (n *Node) Labels(role Role) map[string]string {
	labels := n.Selector(role)
	labels[labelManagedBy] = manager
	return labels
}

func (n *Node) selector(role Role) *metav1ac.LabelSelectorApplyConfiguration {
	return metav1ac.LabelSelector().WithMatchLabels(n.Selector(role))
}

// selectorOf selects the pods of several roles.
func (n *Node) selectorOf(roles ...Role) *metav1ac.LabelSelectorApplyConfiguration {
	requirement := metav1ac.LabelSelectorRequirement().WithKey(labelComponent).WithOperator("In")
	for _, role := range roles {
		requirement.WithValues(string(role))
	}
	return metav1ac.LabelSelector().
		WithMatchLabels(map[string]string{labelName: appName, labelInstance: n.Name}).
		WithMatchExpressions(requirement)
}

// owned adds the labels of a role and an owner reference. Because of the reference,
// the garbage collector deletes the object with the node. The API server refuses the
// apply if another controller owns the object.
func owned[T interface {
	WithLabels(map[string]string) T
	WithOwnerReferences(...*metav1ac.OwnerReferenceApplyConfiguration) T
}](n *Node, role Role, object T) T {
	return object.WithLabels(n.Labels(role)).WithOwnerReferences(n.owner())
}

func (n *Node) owner() *metav1ac.OwnerReferenceApplyConfiguration {
	return metav1ac.OwnerReference().
		WithAPIVersion(v1.GroupVersion.String()).
		WithKind("DownstreamNode").
		WithName(n.Name).
		WithUID(n.UID).
		WithController(true).
		WithBlockOwnerDeletion(true)
}

// nameDigits is the number of hex digits of a hash in a name. Ten digits are enough
// to distinguish the inputs of one node, and a Job's name still fits in a label.
const nameDigits = 10

// hash returns a keyed hash of inputs. The key is the newest heartbeat key: with a
// plain hash, a reader of the hash could guess the password in a data source
// name.
func (n *Node) hash(parts ...[]byte) string {
	mac := hmac.New(sha256.New, n.Inputs.Keys[0].File)
	for _, part := range parts {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		mac.Write(part)
	}
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// configHash returns a hash of the configuration, the heartbeat keys and the database
// addresses of a Deployment's pods. The hash is an annotation of the pod template, so
// a change replaces the pods.
func (n *Node) configHash(role Role) string {
	parts := [][]byte{[]byte(n.Config(role)), n.Inputs.Keys[0].File}
	parts = append(parts, contents(n.MySQLFiles(), n.Inputs.MySQL)...)
	parts = append(parts, contents(n.RedisFiles(), n.Inputs.Redis)...)
	for _, older := range n.Inputs.Keys[1:] {
		parts = append(parts, older.File)
	}
	if role == API {
		parts = append(parts, contents(n.ReplicaFiles(), n.Inputs.MySQL)...)
	}
	return n.hash(parts...)
}

// ConfigName returns the name of the ConfigMap with a role's configuration. It
// depends on the content, so pods with an old template keep their configuration.
func (n *Node) ConfigName(role Role) string {
	parts := [][]byte{[]byte(n.Config(role))}
	if role == Backup {
		parts = append(parts, n.resource())
	}
	return n.ObjectName(role) + "-" + n.hash(parts...)[:nameDigits]
}

// MigrationName returns the name of the Job that migrates the database to the
// schema of the image. The UID of the node is part of the Job's template. Kubernetes
// does not permit changes of a Job's template, so the UID is also part of the name.
func (n *Node) MigrationName() string {
	parts := [][]byte{[]byte(n.image())}
	if n.Spec.MySQL.Connection != nil { // a data source name contains all of it
		parts = append(parts, marshal(n.database()))
	}
	parts = append(parts, contents(n.MySQLFiles(), n.Inputs.MySQL)...)
	return n.jobName(Migration, append(parts, []byte(n.UID))...)
}

// WhitelistName returns the name of the Job that loads the whitelist.
func (n *Node) WhitelistName() string {
	return n.jobName(Whitelist, n.databaseAddress(), n.Inputs.Whitelist)
}

// MaintenanceName returns the name of the Job that announces or cancels spec.maintenance.
func (n *Node) MaintenanceName() string {
	return n.jobName(Maintenance, n.databaseAddress(), []byte(strings.Join(n.maintenanceCommand(), "\n")))
}

// databaseAddress says which database the node uses, without credentials: another password
// is no reason to load the whitelist again, which removes the addresses that it lacks.
func (n *Node) databaseAddress() []byte {
	if c := n.Spec.MySQL.Connection; c != nil {
		return marshal(section{"addrs": addresses(c.Hosts, c.Port), "name": c.Database})
	}
	// user:password@protocol(address)/name?parameters; the password may have any character
	dsn := n.Inputs.MySQL[DSNFile]
	slash := max(0, bytes.LastIndexByte(dsn, '/'))
	server, name := dsn[:slash], dsn[slash:]
	name, _, _ = bytes.Cut(name, []byte("?"))
	return slices.Concat(server[bytes.LastIndexByte(server, '@')+1:], name)
}

// jobName returns the name of a Job that depends on parts: on what it does, and not on how
// its pod runs.
func (n *Node) jobName(role Role, parts ...[]byte) string {
	return n.ObjectName(role) + "-" + n.hash(parts...)[:nameDigits]
}
