package desired

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	batchv1ac "k8s.io/client-go/applyconfigurations/batch/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/driveshare/downstream-node/api/v1"
)

// The parts of a backup pod.
const (
	// BackupsVolume is the name of the volume with the backups.
	BackupsVolume = "backups"
	backupsDir    = "/backups"
	dumpDir       = "/dump"
	dumpFile      = "/dump/dump.sql"
	// resourceFile is the DownstreamNode in the ConfigMap of the backup.
	resourceFile = "node.json"
)

// dumpScript runs in the image of the database. MYSQL_PWD holds the password, and the
// arguments name the host, the user, the database and the file for the dump. One transaction sees one state of
// the database, and blocks nobody.
const dumpScript = `program=$(command -v mariadb-dump || command -v mysqldump)
exec "$program" --host="$0" --protocol=tcp --user="$1" --single-transaction --quick --no-tablespaces "$2" >"$3"`

// BackupCronJob backs up the evaluation database and the heartbeat keys. An init container
// dumps the database to an empty directory. The dump contains no key. Then the container
// encrypts the dump and the keys into one file on the claim. The spec must have backup and
// mysql.evaluation.
func (n *Node) BackupCronJob() *batchv1ac.CronJobApplyConfiguration {
	job := n.jobSpec(Backup, n.backupPod()).
		WithBackoffLimit(2)
	return owned(n, Backup, batchv1ac.CronJob(n.ObjectName(Backup), n.Namespace)).WithSpec(batchv1ac.CronJobSpec().
		WithSchedule(n.Spec.Backup.Schedule).
		WithTimeZone("Etc/UTC").
		WithStartingDeadlineSeconds(3600).
		WithConcurrencyPolicy(batchv1.ForbidConcurrent).
		WithSuccessfulJobsHistoryLimit(1).
		WithFailedJobsHistoryLimit(1).
		WithJobTemplate(batchv1ac.JobTemplateSpec().WithLabels(n.Labels(Backup)).WithSpec(job)))
}

func (n *Node) backupPod() *corev1ac.PodTemplateSpecApplyConfiguration {
	b := n.Spec.Backup
	args := []string{
		"backup", "write", "--dump", dumpFile, "--to", backupsDir, "--keep", strconv.Itoa(int(b.Keep)),
		"--resource", path.Join(configDir, resourceFile),
	}
	for _, recipient := range b.Recipients {
		args = append(args, "--recipient", string(recipient))
	}
	template := n.jobPod(Backup, args...)
	mount := func(name, at string) *corev1ac.VolumeMountApplyConfiguration {
		return corev1ac.VolumeMount().WithName(name).WithMountPath(at)
	}
	main := &template.Spec.Containers[0]
	main.WithVolumeMounts(mount(BackupsVolume, backupsDir), mount("dump", dumpDir).WithReadOnly(true))
	e := n.Spec.MySQL.Evaluation
	dump := corev1ac.Container().
		WithName("dump").
		WithImage(e.Image).
		WithCommand("sh", "-euc", dumpScript, n.host(MySQL), databaseName, databaseName, dumpFile).
		WithEnv(corev1ac.EnvVar().WithName("MYSQL_PWD").WithValueFrom(corev1ac.EnvVarSource().
			WithSecretKeyRef(corev1ac.SecretKeySelector().WithName(n.ObjectName(MySQL)).WithKey("password")))).
		WithResources(main.Resources).
		WithSecurityContext(confined()).
		WithTerminationMessagePolicy(corev1.TerminationMessageFallbackToLogsOnError).
		WithVolumeMounts(mount("dump", dumpDir))
	template.Spec.WithInitContainers(dump).WithVolumes(
		corev1ac.Volume().WithName("dump").WithEmptyDir(corev1ac.EmptyDirVolumeSource().WithSizeLimit(resource.MustParse(string(e.Storage.Size)))),
		corev1ac.Volume().WithName(BackupsVolume).WithPersistentVolumeClaim(corev1ac.PersistentVolumeClaimVolumeSource().WithClaimName(n.BackupClaimName())),
	)
	return template
}

// BackupClaimName returns the name of the claim with the backups.
func (n *Node) BackupClaimName() string {
	if name := n.Spec.Backup.ClaimName; name != "" {
		return name
	}
	return n.ObjectName(Backup)
}

// BackupClaim is the claim that the operator makes once. It has no owner reference, so the
// backups stay when the node is deleted.
func (n *Node) BackupClaim() *corev1.PersistentVolumeClaim {
	storage := v1.Storage{Size: "1Gi"}
	if s := n.Spec.Backup.Storage; s != nil {
		storage = *s
	}
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: n.BackupClaimName(), Namespace: n.Namespace, Labels: n.Labels(Backup)},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			StorageClassName: storage.ClassName,
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(string(storage.Size))},
			},
		},
	}
}

// resource returns the DownstreamNode as JSON, without what only this cluster knows. A
// restore makes the node with it.
func (n *Node) resource() []byte {
	text, err := json.Marshal(&v1.DownstreamNode{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1.GroupVersion.String(), Kind: "DownstreamNode"},
		ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: n.DownstreamNode.Labels},
		Spec:       n.Spec,
	})
	if err != nil {
		panic(fmt.Sprintf("desired: marshal the node: %v", err)) // impossible: every field has a JSON form
	}
	return text
}

// RotationOf returns the rotation of a key from the name of its file, as keyFile makes it.
func RotationOf(file string) (rotation int32, err error) {
	for rotation := range int32(1001) {
		if path.Base(keyFile(rotation)) == file {
			return rotation, nil
		}
	}
	return 0, fmt.Errorf("%q is not the name of a key file of a DownstreamNode, such as heartbeat.json or heartbeat-2.json", file)
}

// MySQLClient returns a command that runs the database's client in the pod of an evaluation
// MySQL. It reads statements from standard input.
func MySQLClient() []string {
	return []string{"sh", "-euc", `program=$(command -v mariadb || command -v mysql)
MYSQL_PWD="$MYSQL_PASSWORD" exec "$program" --host=127.0.0.1 --protocol=tcp --user="$MYSQL_USER" --batch --skip-column-names "$MYSQL_DATABASE"`}
}

// jobRoles lists the roles whose pods are those of Jobs.
func (n *Node) jobRoles() []Role {
	roles := []Role{Migration, Whitelist, Maintenance}
	if n.Spec.Backup != nil {
		roles = append(roles, Backup)
	}
	return roles
}

// usesRedis reports whether the pods of a role connect to Redis.
func usesRedis(role Role) bool { return !slices.Contains([]Role{Migration, Maintenance, Backup}, role) }
