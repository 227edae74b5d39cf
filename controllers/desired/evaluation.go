package desired

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/driveshare/downstream-node/api/v1"
)

const (
	mysqlPort    = 3306
	redisPort    = 6379
	sentinelPort = 26379
	// databaseUser is the user ID under which the official images run the server.
	databaseUser = 999
	// databaseName is the name of the database in an evaluation MySQL, and of its user.
	databaseName = "downstream"
)

// MySQLStatefulSet runs the single MySQL of an evaluation. The spec must have
// mysql.evaluation.
func (n *Node) MySQLStatefulSet() *appsv1ac.StatefulSetApplyConfiguration {
	e := n.Spec.MySQL.Evaluation
	secretEnv := func(env, key string) *corev1ac.EnvVarApplyConfiguration {
		return corev1ac.EnvVar().WithName(env).WithValueFrom(corev1ac.EnvVarSource().
			WithSecretKeyRef(corev1ac.SecretKeySelector().WithName(n.ObjectName(MySQL)).WithKey(key)))
	}
	container := corev1ac.Container().
		WithName(string(MySQL)).
		WithImage(e.Image).
		WithResources(resources(e.Resources)).
		WithEnv(
			corev1ac.EnvVar().WithName("MYSQL_DATABASE").WithValue(databaseName),
			corev1ac.EnvVar().WithName("MYSQL_USER").WithValue(databaseName),
			secretEnv("MYSQL_PASSWORD", "password"),
			secretEnv("MYSQL_ROOT_PASSWORD", "root-password"),
		).
		WithVolumeMounts(
			corev1ac.VolumeMount().WithName("data").WithMountPath("/var/lib/mysql").WithSubPath("mysql"),
			corev1ac.VolumeMount().WithName("run").WithMountPath("/run/mysqld"),
			corev1ac.VolumeMount().WithName("tmp").WithMountPath("/tmp"),
		)
	pod := n.podSpec(databaseUser).WithVolumes(emptyDir("run"), emptyDir("tmp"))
	return n.statefulSet(MySQL, mysqlPort, e.Storage, pod, container)
}

// RedisStatefulSet runs the single Redis of an evaluation. The spec must have
// redis.evaluation.
func (n *Node) RedisStatefulSet() *appsv1ac.StatefulSetApplyConfiguration {
	e := n.Spec.Redis.Evaluation
	container := corev1ac.Container().
		WithName(string(Redis)).
		WithImage(e.Image).
		WithCommand("redis-server", "/etc/redis/redis.conf").
		WithResources(resources(e.Resources)).
		WithVolumeMounts(
			corev1ac.VolumeMount().WithName("data").WithMountPath("/data").WithSubPath("redis"),
			corev1ac.VolumeMount().WithName("config").WithMountPath("/etc/redis").WithReadOnly(true),
		)
	pod := n.podSpec(databaseUser).WithVolumes(corev1ac.Volume().WithName("config").WithSecret(corev1ac.SecretVolumeSource().
		WithSecretName(n.ObjectName(Redis)).
		WithDefaultMode(0o440).
		WithItems(corev1ac.KeyToPath().WithKey("redis.conf").WithPath("redis.conf"))))
	return n.statefulSet(Redis, redisPort, e.Storage, pod, container)
}

// statefulSet runs a single instance with a volume claim named data.
func (n *Node) statefulSet(role Role, port int32, storage v1.Storage, pod *corev1ac.PodSpecApplyConfiguration, container *corev1ac.ContainerApplyConfiguration) *appsv1ac.StatefulSetApplyConfiguration {
	open := corev1ac.TCPSocketAction().WithPort(intstr.FromInt32(port))
	container.
		WithSecurityContext(confined()).
		WithPorts(containerPort(string(role), port)).
		WithReadinessProbe(corev1ac.Probe().WithTCPSocket(open).WithPeriodSeconds(2))
	claim := corev1ac.PersistentVolumeClaimSpec().
		WithAccessModes(corev1.ReadWriteOnce).
		WithResources(corev1ac.VolumeResourceRequirements().
			WithRequests(corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(string(storage.Size))}))
	if storage.ClassName != nil {
		claim.WithStorageClassName(*storage.ClassName)
	}
	replicas := int32(1)
	if n.Hibernated {
		replicas = 0
	}
	pods := n.Spec.Pods
	pod.WithContainers(container).
		WithNodeSelector(texts(pods.NodeSelector)).
		WithTolerations(converted[corev1ac.TolerationApplyConfiguration](pods.Tolerations)...)
	return owned(n, role, appsv1ac.StatefulSet(n.ObjectName(role), n.Namespace)).
		WithSpec(appsv1ac.StatefulSetSpec().
			WithReplicas(replicas).
			WithServiceName(n.ObjectName(role)).
			WithSelector(n.selector(role)).
			WithTemplate(corev1ac.PodTemplateSpec().WithLabels(n.Selector(role)).WithSpec(pod)).
			WithVolumeClaimTemplates(new(corev1ac.PersistentVolumeClaimApplyConfiguration).WithName("data").WithSpec(claim)))
}

// EvaluationService is the address of an evaluation database.
func (n *Node) EvaluationService(role Role) *corev1ac.ServiceApplyConfiguration {
	number := map[Role]int32{MySQL: mysqlPort, Redis: redisPort}[role]
	return owned(n, role, corev1ac.Service(n.ObjectName(role), n.Namespace)).
		WithSpec(corev1ac.ServiceSpec().
			WithClusterIP(corev1.ClusterIPNone).
			WithSelector(n.Selector(role)).
			WithPorts(corev1ac.ServicePort().WithName(string(role)).WithPort(number).WithProtocol(corev1.ProtocolTCP)))
}

func emptyDir(name string) *corev1ac.VolumeApplyConfiguration {
	return corev1ac.Volume().WithName(name).WithEmptyDir(corev1ac.EmptyDirVolumeSource())
}

// host returns the host name of an evaluation database. It includes the namespace,
// because the operator connects from another namespace.
func (n *Node) host(role Role) string {
	return fmt.Sprintf("%s.%s.svc", n.ObjectName(role), n.Namespace)
}

// HeartbeatKeySecret holds the heartbeat key of a rotation.
func (n *Node) HeartbeatKeySecret(rotation int32, file []byte, fingerprint string) *corev1.Secret {
	name, key := n.KeySecret(rotation)
	secret := n.secret("heartbeat", name, map[string][]byte{key: file})
	secret.Annotations = map[string]string{annotationFingerprint: fingerprint}
	return secret
}

// MySQLEvaluationSecret holds the passwords of an evaluation MySQL, and the data
// source name.
func (n *Node) MySQLEvaluationSecret(password, rootPassword string) *corev1.Secret {
	return n.secret(MySQL, n.ObjectName(MySQL), map[string][]byte{
		"password":      []byte(password),
		"root-password": []byte(rootPassword),
		"dsn":           fmt.Appendf(nil, "%s:%s@tcp(%s:%d)/%s", databaseName, password, n.host(MySQL), mysqlPort, databaseName),
	})
}

// RedisEvaluationSecret holds the configuration of an evaluation Redis, and its
// URL. The Redis keeps jobs on disk and evicts no keys.
func (n *Node) RedisEvaluationSecret(password string) *corev1.Secret {
	return n.secret(Redis, n.ObjectName(Redis), map[string][]byte{
		"redis.conf": fmt.Appendf(nil, "dir /data\nappendonly yes\nmaxmemory-policy noeviction\nrequirepass %s\n", password),
		"url":        fmt.Appendf(nil, "redis://:%s@%s:%d/0", password, n.host(Redis), redisPort),
	})
}

// secret builds a Secret that the operator creates once. The Secret has no owner
// reference, so it stays when the node is deleted. The data that needs the Secret
// stays too.
func (n *Node) secret(role Role, name string, data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: n.Namespace, Labels: n.Labels(role)},
		Immutable:  new(true),
		Type:       corev1.SecretTypeOpaque,
		Data:       data,
	}
}

// Ours reports whether an object was made for a node of this name.
func (n *Node) Ours(object metav1.Object) bool {
	labels := object.GetLabels()
	return labels[labelManagedBy] == manager && labels[labelInstance] == n.Name
}
