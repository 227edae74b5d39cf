package desired

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// databaseName is the database of an evaluation MySQL, and its user.
const databaseName = "downstream"

// The Secrets here are made once and kept: they have no owner reference, so
// that they outlive the node as the data does that they belong to.

// HeartbeatKeySecret holds the heartbeat key.
func (n *Node) HeartbeatKeySecret(file []byte, fingerprint string) *corev1.Secret {
	name, key := n.KeySecret()
	secret := n.secret("heartbeat", name, map[string][]byte{key: file})
	secret.Annotations = map[string]string{AnnotationFingerprint: fingerprint}
	return secret
}

// MySQLEvaluationSecret holds the passwords of an evaluation MySQL, and the data source
// name with them.
func (n *Node) MySQLEvaluationSecret(password, rootPassword string) *corev1.Secret {
	return n.secret(MySQL, n.ObjectName(MySQL), map[string][]byte{
		"password":      []byte(password),
		"root-password": []byte(rootPassword),
		"dsn":           fmt.Appendf(nil, "%s:%s@tcp(%s:%d)/%s", databaseName, password, n.host(MySQL), mysqlPort, databaseName),
	})
}

// RedisEvaluationSecret holds the configuration of an evaluation Redis, and the URL that
// goes with it. It keeps jobs on disk and evicts nothing.
func (n *Node) RedisEvaluationSecret(password string) *corev1.Secret {
	return n.secret(Redis, n.ObjectName(Redis), map[string][]byte{
		"redis.conf": fmt.Appendf(nil, "dir /data\nappendonly yes\nmaxmemory-policy noeviction\nrequirepass %s\n", password),
		"url":        fmt.Appendf(nil, "redis://:%s@%s:%d/0", password, n.host(Redis), redisPort),
	})
}

func (n *Node) secret(role Role, name string, data map[string][]byte) *corev1.Secret {
	immutable := true
	return &corev1.Secret{
		ObjectMeta: n.meta(role, name),
		Immutable:  &immutable,
		Type:       corev1.SecretTypeOpaque,
		Data:       data,
	}
}

// Ours says whether an object was made for a node of this name.
func (n *Node) Ours(object metav1.Object) bool {
	labels := object.GetLabels()
	return labels[labelManagedBy] == manager && labels[labelInstance] == n.Name
}
