package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	batchv1ac "k8s.io/client-go/applyconfigurations/batch/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/controllers/desired"
	"github.com/driveshare/downstream-node/internal/program"
)

// jobPhase is the progress of a Job.
type jobPhase int

const (
	jobUnknown  jobPhase = iota // not checked yet
	jobWaiting                  // another Job has to end first
	jobRunning                  // created, not ended
	jobFailed                   // failed; Kubernetes does not retry it
	jobComplete                 // succeeded, now or in an earlier reconcile
)

// jobState is what the operator knows about a Job.
type jobState struct {
	phase   jobPhase
	name    string
	message string // why the Job waits or has failed
	refused bool   // the Job failed because the database has another heartbeat key

	failed   int32  // number of failed attempts
	lastLine string // the last log line of the latest failed attempt
	trouble  *trouble
}

// jobName returns the name of a role's Job. The name is a hash with the newest heartbeat
// key. If the Job completed under its name with an older key, jobName records the new
// name: a new key is no reason to run the Job again.
func (s *scope) jobName(recorded *string, name func(*desired.Node) string) string {
	now := name(s.Node)
	for i := range s.Inputs.Keys {
		older := *s.Node
		older.Inputs.Keys = s.Inputs.Keys[i:]
		if *recorded == name(&older) {
			*recorded = now
		}
	}
	return now
}

// ensureSchema migrates the database to the schema of the image. Until the
// migration completes, the API and the workers keep their pod template. The Job of an
// evaluation waits for its database: its attempts before that would only fail.
func (r *Reconciler) ensureSchema(ctx context.Context, s *scope) (err error) {
	name := s.jobName(&s.status.Migration, (*desired.Node).MigrationName)
	if _, restoring := s.Annotations[v1.RestoreAnnotation]; restoring && s.status.Migration == "" {
		s.facts.migration = jobState{name: name, phase: jobWaiting, message: fmt.Sprintf("waiting until `kubectl downstream restore %s` has loaded a backup; run it again if it has ended", s.Name)}
		return nil
	}
	if s.Spec.MySQL.Evaluation != nil && s.status.Migration != name {
		mysql, err := find(ctx, r.Live, s, "StatefulSet", s.ObjectName(desired.MySQL), &appsv1.StatefulSet{})
		if err != nil {
			return err
		}
		if mysql == nil || mysql.Status.ReadyReplicas == 0 {
			s.facts.migration = jobState{name: name, phase: jobWaiting, message: "waiting until the evaluation MySQL is ready"}
			return nil
		}
	}
	s.facts.migration, err = r.ensureJob(ctx, s, desired.Migration, name, &s.status.Migration,
		s.MigrationJob)
	return err
}

// ensureWhitelist loads the whitelist if it has changed. A faulty whitelist
// does not stop the pods: the list that was loaded before stays in use.
func (r *Reconciler) ensureWhitelist(ctx context.Context, s *scope) error {
	if s.Spec.Whitelist == nil {
		s.status.Whitelist = ""
		_, err := r.clearJobs(ctx, s, desired.Whitelist, "")
		return err
	}
	if s.facts.migration.phase != jobComplete {
		return nil
	}
	ref := s.Spec.Whitelist.ConfigMapRef
	configMap, err := find(ctx, r.Live, s, "ConfigMap", ref.Name, &corev1.ConfigMap{})
	if err != nil {
		return err
	}
	if configMap != nil {
		s.Inputs.Whitelist = configMap.BinaryData[ref.Key]
		if text, ok := configMap.Data[ref.Key]; ok {
			s.Inputs.Whitelist = []byte(text)
		}
	}
	if len(s.Inputs.Whitelist) == 0 {
		s.facts.whitelist = jobState{phase: jobFailed, message: fmt.Sprintf("the ConfigMap %s does not exist or has no key %s", ref.Name, ref.Key)}
		return nil
	}
	name := s.jobName(&s.status.Whitelist, (*desired.Node).WhitelistName)
	s.facts.whitelist, err = r.ensureJob(ctx, s, desired.Whitelist, name, &s.status.Whitelist,
		s.WhitelistJob)
	return err
}

// maintenancePending is the value of status.maintenance before its first Job has completed.
const maintenancePending = "pending"

// ensureMaintenance announces spec.maintenance, or cancels what was announced. If the node
// is to hibernate, it begins that maintenance instead. The maintenance of a waking node ends
// after its pods are ready.
func (r *Reconciler) ensureMaintenance(ctx context.Context, s *scope) (err error) {
	if s.facts.hibernation == waking {
		return nil
	}
	m, recorded := s.Spec.Maintenance, &s.status.Maintenance
	name := s.jobName(recorded, (*desired.Node).MaintenanceName)
	if m == nil && !s.Spec.Hibernate && (*recorded == "" || *recorded == name) {
		waiting, err := r.clearJobs(ctx, s, desired.Maintenance, "")
		if waiting == "" {
			*recorded = ""
		}
		return err
	}
	if *recorded != name && *recorded != maintenancePending {
		// Written before the Job exists, so that a maintenance that was announced is always
		// cancelled, and an earlier Job is run again if the spec changes back.
		*recorded = maintenancePending
		return errRecordFirst
	}
	if s.facts.migration.phase != jobComplete {
		return nil
	}
	before := *recorded
	s.facts.maintenance, err = r.ensureJob(ctx, s, desired.Maintenance, name, recorded, s.MaintenanceJob)
	if m == nil || s.Spec.Hibernate || *recorded != name || before == name {
		return err
	}
	start, end, err := m.Times()
	if now := r.now(); err == nil && now.Before(end) {
		s.note(corev1.EventTypeNormal, ReasonMaintenancePlanned, "A maintenance is planned from %s to %s.", moment(start.Unix()), moment(end.Unix()))
		if interval := time.Duration(s.Spec.Contracts.IntervalSeconds) * time.Second; start.Sub(now) < interval {
			s.note(corev1.EventTypeWarning, ReasonMaintenanceSoon, "The maintenance starts earlier than one interval (%v) after its announcement, so some farmers' clients may give up contracts that are due in it.", interval)
		}
	}
	return err
}

// ensureJob runs the Job of a role once. recorded points to the status field with
// the name of the last Job that completed.
//
// A role has at most one Job. The operator deletes an old Job before it creates the
// next, for two reasons. First, two Jobs must not change the database at the same
// time. Second, if the spec changes back to an earlier state, an old Job of the same
// name must not count as done. It also deletes a Job that has not succeeded if its pods
// would be different now: an edit may have mended what kept it from running.
func (r *Reconciler) ensureJob(ctx context.Context, s *scope, role desired.Role, name string, recorded *string, build func() *batchv1ac.JobApplyConfiguration) (jobState, error) {
	waiting, err := r.clearJobs(ctx, s, role, name)
	switch {
	case err != nil:
		return jobState{name: name}, err
	case waiting != "":
		return jobState{name: name, phase: jobWaiting, message: waiting}, nil
	case *recorded == name:
		return jobState{name: name, phase: jobComplete}, nil
	}
	job, err := find(ctx, r.Live, s, "Job", name, &batchv1.Job{})
	if err != nil {
		return jobState{name: name}, err
	}
	if job == nil || !metav1.IsControlledBy(job, s.DownstreamNode) {
		state := jobState{name: name, phase: jobRunning}
		if err := r.applyConfig(ctx, s, role); err != nil {
			return state, err
		}
		return state, r.apply(ctx, s, jobKind, name, build())
	}
	state := stateOf(job)
	if state.phase == jobComplete {
		*recorded = name
		return state, nil
	}
	// An older operator's Job has no hash.
	if hash := job.Annotations[desired.AnnotationTemplateHash]; hash != "" && hash != build().Annotations[desired.AnnotationTemplateHash] {
		waiting, err := r.clearJobs(ctx, s, role, "")
		return jobState{name: name, phase: jobWaiting, message: waiting}, err
	}
	pods, err := r.pods(ctx, s, role)
	if err != nil {
		return state, err
	}
	pods = slices.DeleteFunc(pods, func(pod corev1.Pod) bool { return !metav1.IsControlledBy(&pod, job) })
	state.failed, state.lastLine = job.Status.Failed, lastLine(pods)
	if state.trouble, err = r.podsTrouble(ctx, s, pods); err != nil {
		return state, err
	}
	if len(pods) == 0 && state.phase == jobRunning {
		if state.trouble, err = r.ownerTrouble(ctx, s, "Job", job); err != nil {
			return state, err
		}
	}
	if state.phase == jobFailed && state.lastLine != "" {
		state.message = state.lastLine + "; " + state.message
	}
	return state, nil
}

// clearJobs deletes the Jobs of a role, except the Job named keep. This includes Jobs
// that a deleted node of the same name has left. It does not interrupt a running pod.
// If the operator must wait for a Job to end or to be deleted, clearJobs returns a
// message; otherwise the message is empty.
func (r *Reconciler) clearJobs(ctx context.Context, s *scope, role desired.Role, keep string) (waiting string, err error) {
	jobs := &batchv1.JobList{}
	if err := r.Live.List(ctx, jobs, client.InNamespace(s.Namespace), client.MatchingLabels(s.Selector(role))); err != nil {
		return "", fmt.Errorf("list the %s Jobs: %w", role, err)
	}
	for i := range jobs.Items {
		job := &jobs.Items[i]
		deleted := !job.DeletionTimestamp.IsZero()
		switch {
		case !s.belongs(job):
		case !deleted && job.Name == keep:
		case !deleted && stateOf(job).phase == jobRunning && job.Status.Ready != nil && *job.Status.Ready > 0:
			waiting = fmt.Sprintf("waiting for the Job %s to end, because its pod is running", job.Name)
		default:
			if !deleted {
				if err := r.delete(ctx, job, client.PropagationPolicy(metav1.DeletePropagationForeground)); err != nil {
					return "", err
				}
			}
			waiting = fmt.Sprintf("waiting until the Job %s is deleted", job.Name)
		}
	}
	return waiting, nil
}

// stateOf returns the state that a Job's conditions report.
func stateOf(job *batchv1.Job) jobState {
	state := jobState{name: job.Name, phase: jobRunning}
	for _, c := range job.Status.Conditions {
		switch {
		case c.Status != corev1.ConditionTrue:
		case c.Type == batchv1.JobComplete:
			return jobState{name: job.Name, phase: jobComplete}
		case c.Type == batchv1.JobFailed:
			state.phase = jobFailed
			state.message = fmt.Sprintf("%s; see `kubectl logs job/%s`, and delete the Job to try again", c.Message, job.Name)
			// The Job's pod failure policy matches the exit codes for another
			// heartbeat key and for another owner. The message has the exit code.
			otherOwner := strings.Contains(c.Message, fmt.Sprintf("exit code %d ", program.ExitOtherOwner))
			state.refused = c.Reason == batchv1.JobReasonPodFailurePolicy && !otherOwner
		}
	}
	return state
}
