package controllers

import (
	"context"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/controllers/desired"
)

// jobPhase is how far a Job has come.
type jobPhase int

const (
	jobUnknown  jobPhase = iota // not looked at
	jobWaiting                  // another has to end first
	jobRunning                  // made, and not ended
	jobFailed                   // ended, and will not try again
	jobComplete                 // ended well, now or at an earlier time
)

// jobState is how a Job stands.
type jobState struct {
	phase   jobPhase
	name    string
	message string // why it waits or has failed
	refused bool   // it failed for the heartbeat key, which is not the database's

	failed    int32  // attempts that have failed
	lastWords string // of the attempt that failed last
	unpulled  string // the image that its pod waits for in vain, and why
}

// ensureSchema brings the database to the schema of the image. Until it is
// there, API and workers keep their template.
func (r *Reconciler) ensureSchema(ctx context.Context, s *scope) error {
	var err error
	s.facts.migration, err = r.ensureJob(ctx, s, desired.Migration, s.MigrationName(), s.status.Migration,
		func() named { return s.MigrationJob() })
	if s.facts.migration.phase == jobComplete {
		s.status.Migration = s.MigrationName()
	}
	return err
}

// ensureWhitelist loads the whitelist when it has changed. What is wrong with
// it keeps no pod from running: the list that was loaded before stays.
func (r *Reconciler) ensureWhitelist(ctx context.Context, s *scope) error {
	if s.Spec.Whitelist == nil {
		s.status.Whitelist = ""
		_, err := r.clearJobs(ctx, s, desired.Whitelist, "")
		return err
	}
	if s.facts.migration.phase != jobComplete {
		return nil
	}
	var err error
	if s.Inputs.Whitelist, err = r.readWhitelist(ctx, s); err != nil {
		return err
	}
	if len(s.Inputs.Whitelist) == 0 {
		ref := s.Spec.Whitelist.ConfigMapRef
		s.facts.whitelist = jobState{phase: jobFailed, message: fmt.Sprintf("the ConfigMap %s is not there or has no key %s", ref.Name, ref.Key)}
		return nil
	}
	s.facts.whitelist, err = r.ensureJob(ctx, s, desired.Whitelist, s.WhitelistName(), s.status.Whitelist,
		func() named { return s.WhitelistJob() })
	if s.facts.whitelist.phase == jobComplete {
		s.status.Whitelist = s.WhitelistName()
	}
	return err
}

// ensureJob sees to it that the Job of a role has run once. There is only ever
// one Job of a role: one that has been superseded is gone before the next is
// made, so that two never work on the database at once, and so that going back
// to earlier inputs does not find their old Job and take it for done. recorded
// is the name of the Job that completed last, according to the status.
func (r *Reconciler) ensureJob(ctx context.Context, s *scope, role desired.Role, name, recorded string, build func() named) (jobState, error) {
	state := jobState{name: name}
	inTheWay, err := r.clearJobs(ctx, s, role, name)
	if err != nil {
		return state, err
	}
	if inTheWay != "" {
		state.phase, state.message = jobWaiting, inTheWay
		return state, nil
	}
	if recorded == name {
		state.phase = jobComplete
		return state, nil
	}
	job := &batchv1.Job{}
	err = r.Live.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: name}, job)
	if client.IgnoreNotFound(err) != nil {
		return state, fmt.Errorf("get the Job %s: %w", name, err)
	}
	if err == nil && metav1.IsControlledBy(job, s.DownstreamNode) {
		state.phase, state.message = progressOf(job)
		state.refused = refusesKey(job)
		return state, r.readAttempts(ctx, s, role, job, &state)
	}
	state.phase = jobRunning
	if err := r.apply(ctx, s, s.ConfigMap(role)); err != nil {
		return state, err
	}
	return state, r.apply(ctx, s, build())
}

// readAttempts finds out how the pods of a Job that has not ended well fared.
func (r *Reconciler) readAttempts(ctx context.Context, s *scope, role desired.Role, job *batchv1.Job, state *jobState) error {
	if state.phase == jobComplete {
		return nil
	}
	pods, err := r.pods(ctx, s, role)
	if err != nil {
		return err
	}
	pods = slices.DeleteFunc(pods, func(pod corev1.Pod) bool { return !metav1.IsControlledBy(&pod, job) })
	state.failed, state.lastWords, state.unpulled = job.Status.Failed, lastWords(pods), unpulled(pods)
	if state.phase == jobFailed && state.lastWords != "" {
		state.message = state.lastWords + "; " + state.message
	}
	return nil
}

// clearJobs deletes the Jobs of a role but the one to keep, and tells what
// still has to be waited for. A pod at work is not broken off.
func (r *Reconciler) clearJobs(ctx context.Context, s *scope, role desired.Role, keep string) (inTheWay string, err error) {
	jobs := &batchv1.JobList{}
	if err := r.Live.List(ctx, jobs, client.InNamespace(s.Namespace), client.MatchingLabels(s.Selector(role))); err != nil {
		return "", fmt.Errorf("list the %s Jobs: %w", role, err)
	}
	for i := range jobs.Items {
		job := &jobs.Items[i]
		deleted := !job.DeletionTimestamp.IsZero()
		switch phase, _ := progressOf(job); {
		case !metav1.IsControlledBy(job, s.DownstreamNode):
		case deleted:
			inTheWay = fmt.Sprintf("waiting for the Job %s to be gone", job.Name)
		case job.Name == keep:
		case phase == jobRunning && job.Status.Ready != nil && *job.Status.Ready > 0:
			inTheWay = fmt.Sprintf("waiting for the Job %s, which has a pod at work, to end", job.Name)
		default:
			if err := r.delete(ctx, job, client.PropagationPolicy(metav1.DeletePropagationForeground)); err != nil {
				return "", err
			}
			inTheWay = fmt.Sprintf("waiting for the Job %s to be gone", job.Name)
		}
	}
	return inTheWay, nil
}

// progressOf reads a Job's conditions.
func progressOf(job *batchv1.Job) (jobPhase, string) {
	for _, c := range job.Status.Conditions {
		if c.Status != corev1.ConditionTrue {
			continue
		}
		switch c.Type {
		case batchv1.JobComplete:
			return jobComplete, ""
		case batchv1.JobFailed:
			return jobFailed, fmt.Sprintf("%s; look at `kubectl logs job/%s`, and delete the Job to try again", c.Message, job.Name)
		}
	}
	return jobRunning, ""
}

// refusesKey says whether a Job failed because the database belongs to another
// heartbeat key: that is all that its policy for failed pods is about.
func refusesKey(job *batchv1.Job) bool {
	return slices.ContainsFunc(job.Status.Conditions, func(c batchv1.JobCondition) bool {
		return c.Type == batchv1.JobFailed && c.Status == corev1.ConditionTrue && c.Reason == batchv1.JobReasonPodFailurePolicy
	})
}
