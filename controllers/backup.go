package controllers

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/robfig/cron/v3"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/controllers/desired"
)

// ensureBackup runs the CronJob for the backups. It comes after the migration, because a
// backup needs the schema of its image. A hibernating node makes no backups.
func (r *Reconciler) ensureBackup(ctx context.Context, s *scope) error {
	name := s.ObjectName(desired.Backup)
	if s.Spec.Backup == nil || s.endsPods() {
		return r.remove(ctx, s, cronJobKind, name)
	}
	if s.facts.migration.phase != jobComplete {
		return nil
	}
	if s.Spec.Backup.ClaimName == "" {
		if err := r.ensureBackupClaim(ctx, s); err != nil {
			return err
		}
	}
	if err := r.applyConfig(ctx, s, desired.Backup); err != nil {
		return err
	}
	return r.apply(ctx, s, cronJobKind, name, s.BackupCronJob())
}

// ensureBackupClaim makes the claim for the backups if it does not exist.
func (r *Reconciler) ensureBackupClaim(ctx context.Context, s *scope) error {
	claim := s.BackupClaim()
	live, err := find(ctx, r.Live, s, "PersistentVolumeClaim", claim.Name, &corev1.PersistentVolumeClaim{})
	if err != nil {
		return err
	}
	if live == nil {
		if err := r.Client.Create(ctx, claim, client.FieldOwner(FieldOwner)); err != nil && !apierrors.IsAlreadyExists(err) {
			return writeError("PersistentVolumeClaim", claim.Name, err)
		}
		return nil
	}
	if !s.Ours(live) {
		return block(ReasonOwnershipConflict, "the PersistentVolumeClaim %s does not belong to this node; name it in spec.backup.claimName to use it, or rename the node", claim.Name)
	}
	return nil
}

// readBackup reads when the last backups succeeded and failed, and what is wrong with the
// backups. The times stay in the status if Kubernetes has deleted the Jobs.
func (r *Reconciler) readBackup(ctx context.Context, s *scope) error {
	if s.Spec.Backup == nil {
		s.status.Backup = nil
		return nil
	}
	cronJob, err := find(ctx, r.Live, s, "CronJob", s.ObjectName(desired.Backup), &batchv1.CronJob{})
	if cronJob == nil || err != nil {
		return err
	}
	jobs := &batchv1.JobList{}
	if err := r.Live.List(ctx, jobs, client.InNamespace(s.Namespace), client.MatchingLabels(s.Selector(desired.Backup))); err != nil {
		return fmt.Errorf("list the backup Jobs: %w", err)
	}
	pods, err := r.pods(ctx, s, desired.Backup)
	if err != nil {
		return err
	}
	// Other pods of this role only read the backups.
	pods = slices.DeleteFunc(pods, func(pod corev1.Pod) bool { return metav1.GetControllerOf(&pod) == nil })
	status := &v1.BackupStatus{}
	if s.status.Backup != nil {
		status = s.status.Backup
	}
	s.status.Backup = status
	status.LastSuccess = later(status.LastSuccess, cronJob.Status.LastSuccessfulTime)
	for i := range jobs.Items {
		job := &jobs.Items[i]
		state := stateOf(job)
		for _, c := range job.Status.Conditions {
			switch {
			case c.Status != corev1.ConditionTrue:
			case c.Type == batchv1.JobComplete:
				status.LastSuccess = later(status.LastSuccess, &c.LastTransitionTime)
			case c.Type == batchv1.JobFailed && later(status.LastFailure, &c.LastTransitionTime) == &c.LastTransitionTime:
				status.LastFailure = c.LastTransitionTime.DeepCopy()
				status.Message = cut(state.message, 1000)
				if line := lastLine(podsOf(job, pods)); line != "" {
					status.Message = cut(line+"; "+state.message, 1000)
				}
			}
		}
	}
	if status.LastFailure.Before(status.LastSuccess) || status.LastFailure.Equal(status.LastSuccess) {
		status.Message = ""
	}
	trouble, err := r.podsTrouble(ctx, s, pods)
	s.facts.backup = backupTrouble(s.Spec.Backup.Schedule, status, cronJob.CreationTimestamp.Time, trouble, r.now())
	return err
}

// later returns the later one of two times, the first one if they are equal. nil is before
// every other time.
func later(a, b *metav1.Time) *metav1.Time {
	if b != nil && (a == nil || a.Before(b)) {
		return b
	}
	return a
}

// podsOf returns the pods of a Job.
func podsOf(job *batchv1.Job, pods []corev1.Pod) (own []corev1.Pod) {
	for _, pod := range pods {
		if metav1.IsControlledBy(&pod, job) {
			own = append(own, pod)
		}
	}
	return own
}

// backupDelay is how long a backup may take before it counts as overdue.
const backupDelay = 15 * time.Minute

// backupTrouble returns what is wrong with the backups, or nil. made is when the CronJob was
// made, and pods is the trouble of the pods of a backup, or nil.
func backupTrouble(schedule string, status *v1.BackupStatus, made time.Time, pods *trouble, now time.Time) *trouble {
	last, good := made, "there is no good backup yet"
	if status.LastSuccess != nil {
		// A hibernation ends with another CronJob, and no backup was due before.
		if status.LastSuccess.After(made) {
			last = status.LastSuccess.Time
		}
		good = "the last good one is of " + moment(status.LastSuccess.Unix())
	}
	if status.Message != "" {
		return troubled(ReasonBackupFailed, "the last backup failed, and %s: %s", good, excerpt(status.Message))
	}
	if pods != nil {
		return troubled(pods.reason, "a backup does not run, and %s: %s", good, pods.message)
	}
	times, err := cron.ParseStandard(schedule)
	if err != nil {
		return nil // the API server has refused the CronJob
	}
	if second := times.Next(times.Next(last.UTC())); !second.IsZero() && now.After(second.Add(backupDelay)) {
		return troubled(ReasonBackupOverdue, "two backups were due since %s, and %s; see `kubectl describe cronjob`", moment(last.Unix()), good)
	}
	return nil
}
