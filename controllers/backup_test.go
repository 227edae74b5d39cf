package controllers_test

import (
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1"
)

const recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"

const backedUp = evaluation + "\nbackup: {recipients: [" + recipient + "]}"

// backupJob makes a Job of the CronJob, as the CronJob controller does.
func (f *farm) backupJob(name string) *batchv1.Job {
	f.t.Helper()
	cronJob := &batchv1.CronJob{}
	f.get(cronJob, "node-backup")
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: cronJob.Spec.JobTemplate.Labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(cronJob, batchv1.SchemeGroupVersion.WithKind("CronJob"))},
		},
		Spec: cronJob.Spec.JobTemplate.Spec,
	}
	f.create(job)
	return job
}

func TestBackups(t *testing.T) {
	t.Parallel()
	f := emptyFarm(t)
	f.createNode(evaluation)
	f.bringUp()
	if f.find(&batchv1.CronJob{}, "node-backup") || f.node().Status.Backup != nil {
		t.Error("there are backups without spec.backup")
	}
	f.edit(func(s *v1.DownstreamNodeSpec) { s.Backup = &v1.BackupSpec{Recipients: []v1.AgeRecipient{recipient}} })
	f.settle()
	claim := &corev1.PersistentVolumeClaim{}
	f.get(claim, "node-backup")
	if len(claim.OwnerReferences) > 0 {
		t.Error("the claim has an owner, so the backups would be deleted with the node")
	}
	f.wantCondition("Ready", "True", "FarmersCanFarm")

	f.finishFor(f.backupJob("failed"), false, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
	f.settle()
	f.wantCondition("Degraded", "True", "BackupFailed")
	f.wantMessage("Degraded", "The last backup failed, and there is no good backup yet: Job has reached the specified backoff limit; see `kubectl logs job/failed`")
	f.wantCondition("Ready", "True", "FarmersCanFarm")
	if b := f.node().Status.Backup; b == nil || b.LastFailure == nil || b.LastSuccess != nil || b.Message == "" {
		t.Errorf("status.backup is %+v", b)
	}
	time.Sleep(time.Second) // the times have whole seconds
	f.finish(f.backupJob("good"), true)
	f.settle()
	f.wantCondition("Degraded", "False", "AsExpected")
	if b := f.node().Status.Backup; b.LastSuccess == nil || b.Message != "" {
		t.Errorf("status.backup is %+v", b)
	}
	// Kubernetes deletes old Jobs. The last success must stay.
	f.ok(f.DeleteAllOf(t.Context(), &batchv1.Job{}, client.InNamespace(f.namespace), client.MatchingLabels{"app.kubernetes.io/component": "backup"}, client.PropagationPolicy(metav1.DeletePropagationBackground)))
	f.clock = time.Now().Add(4 * time.Hour)
	f.settle()
	f.wantCondition("Degraded", "True", "BackupOverdue")
	f.wantMessage("Degraded", "Two backups were due since ")

	f.edit(func(s *v1.DownstreamNodeSpec) { s.Backup = nil })
	f.settle()
	if f.find(&batchv1.CronJob{}, "node-backup") || f.node().Status.Backup != nil || !f.find(claim, "node-backup") {
		t.Error("without spec.backup, the operator must delete the CronJob and the status, and keep the claim")
	}
}

// TestBackupNeedsTheSchema checks that an image is not used for backups before the database
// has its schema.
func TestBackupNeedsTheSchema(t *testing.T) {
	t.Parallel()
	f := emptyFarm(t)
	f.createNode(backedUp)
	f.settle()
	f.runDatabases()
	f.settle()
	if f.find(&batchv1.CronJob{}, "node-backup") {
		t.Error("there is a CronJob before the migration")
	}
	f.bringUp()
	f.edit(func(s *v1.DownstreamNodeSpec) { s.Image = "example.org/downstream-node:v2" })
	f.settle()
	image := func() string {
		cronJob := &batchv1.CronJob{}
		f.get(cronJob, "node-backup")
		return cronJob.Spec.JobTemplate.Spec.Template.Spec.Containers[0].Image
	}
	if got := image(); got != operatorImage {
		t.Errorf("during the migration, backups use %s", got)
	}
	f.finish(f.jobOf("migration"), true)
	f.settle()
	if got := image(); got != "example.org/downstream-node:v2" {
		t.Errorf("after the migration, backups use %s", got)
	}
}

func TestBackupClaimOfSomebodyElse(t *testing.T) {
	t.Parallel()
	f := emptyFarm(t)
	f.create(&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "node-backup"}, Spec: corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
	}})
	f.createNode(backedUp)
	f.bringUp()
	f.wantCondition("Degraded", "True", "OwnershipConflict")
	f.edit(func(s *v1.DownstreamNodeSpec) { s.Backup.ClaimName = "node-backup" })
	f.settle()
	f.wantCondition("Degraded", "False", "AsExpected")
}

// TestRestoreWaits checks that no Job uses the database while a backup is loaded.
func TestRestoreWaits(t *testing.T) {
	t.Parallel()
	f := emptyFarm(t)
	f.createNode(evaluation)
	annotate := func(value any) {
		t.Helper()
		patch := `{"metadata": {"annotations": {"` + v1.RestoreAnnotation + `": null}}}`
		if value != nil {
			patch = strings.Replace(patch, "null", `"waiting"`, 1)
		}
		f.ok(f.Patch(t.Context(), f.node(), client.RawPatch("application/merge-patch+json", []byte(patch))))
	}
	annotate("waiting")
	f.settle()
	f.runDatabases()
	f.settle()
	f.wantCondition("SchemaMigrated", "False", "MigrationWaiting")
	f.wantMessage("SchemaMigrated", "Waiting until `kubectl downstream restore node` has loaded a backup")
	if f.jobOfOrNil("migration") != nil {
		t.Error("a migration uses the database during the restore")
	}
	annotate(nil)
	f.bringUp()
	annotate("waiting") // a manifest in Git may keep the annotation
	f.settle()
	f.wantCondition("SchemaMigrated", "True", "Migrated")
}

func TestBackupRules(t *testing.T) {
	t.Parallel()
	f := emptyFarm(t)
	for spec, says := range map[string]string{
		backedUp: "",
		"backup: {recipients: [" + recipient + "]}":               "backup is for mysql.evaluation",
		evaluation + "\nbackup: {}":                               "spec.backup.recipients: Required value",
		evaluation + "\nbackup: {recipients: []}":                 "at least 1 items",
		evaluation + "\nbackup: {recipients: [AGE-SECRET-KEY-1]}": "must be a public key of age",
		evaluation + "\nbackup: {recipients: [age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t]}": "must be a public key of age",
		evaluation + "\nbackup: {recipients: [" + recipient + "], schedule: hourly}":                                     "spec.backup.schedule",
		evaluation + "\nbackup: {recipients: [" + recipient + "], claimName: a, storage: {size: 1Gi}}":                   "not both",
	} {
		u := parse(t, minimal, spec)
		u.SetNamespace(f.namespace)
		u.SetName("rules")
		err := f.Create(t.Context(), u, client.DryRunAll)
		if says == "" && err != nil || says != "" && (!apierrors.IsInvalid(err) || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %v, want %q", spec, err, says)
		}
	}
}
