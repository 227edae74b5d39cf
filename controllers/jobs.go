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

// jobPhase is the progress of a Job.
type jobPhase int

const (
	jobUnknown  jobPhase = iota // not looked at yet
	jobWaiting                  // another Job has to end first
	jobRunning                  // created, not ended
	jobFailed                   // ended with a failure; Kubernetes does not retry it
	jobComplete                 // succeeded, now or in an earlier reconcile
)

// jobState is what the operator knows of a Job.
type jobState struct {
	phase   jobPhase
	name    string
	message string // why it waits or has failed
	refused bool   // it failed because the database has another heartbeat key

	failed    int32  // number of failed attempts
	lastWords string // the last line of the latest failed attempt
	unpulled  string // the image that cannot be pulled, and why
}

// ensureSchema migrates the database to the schema of the image. Until the
// migration completes, API and workers keep their template.
func (r *Reconciler) ensureSchema(ctx context.Context, s *scope) error {
	var err error
	s.facts.migration, err = r.ensureJob(ctx, s, desired.Migration, s.MigrationName(), s.status.Migration,
		func() object { return s.MigrationJob() })
	if s.facts.migration.phase == jobComplete {
		s.status.Migration = s.MigrationName()
	}
	return err
}

// ensureWhitelist loads the whitelist when it has changed. A faulty whitelist
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
	var err error
	if s.Inputs.Whitelist, err = r.readWhitelist(ctx, s); err != nil {
		return err
	}
	if len(s.Inputs.Whitelist) == 0 {
		ref := s.Spec.Whitelist.ConfigMapRef
		s.facts.whitelist = jobState{phase: jobFailed, message: fmt.Sprintf("the ConfigMap %s does not exist or has no key %s", ref.Name, ref.Key)}
		return nil
	}
	s.facts.whitelist, err = r.ensureJob(ctx, s, desired.Whitelist, s.WhitelistName(), s.status.Whitelist,
		func() object { return s.WhitelistJob() })
	if s.facts.whitelist.phase == jobComplete {
		s.status.Whitelist = s.WhitelistName()
	}
	return err
}

// readWhitelist reads the whitelist. It returns nil if there is none.
func (r *Reconciler) readWhitelist(ctx context.Context, s *scope) ([]byte, error) {
	ref := s.Spec.Whitelist.ConfigMapRef
	configMap, err := find(ctx, r.Live, s, "ConfigMap", ref.Name, &corev1.ConfigMap{})
	if configMap == nil || err != nil {
		return nil, err
	}
	if text, ok := configMap.Data[ref.Key]; ok {
		return []byte(text), nil
	}
	return configMap.BinaryData[ref.Key], nil
}

// ensureJob runs the Job of a role once. recorded is the name of the last Job
// that completed, from the status.
//
// A role has at most one Job. The operator deletes a superseded Job before it
// creates the next, for two reasons: two Jobs must not work on the database at
// once, and if the spec returns to earlier inputs, an old Job of the same name
// must not count as done.
func (r *Reconciler) ensureJob(ctx context.Context, s *scope, role desired.Role, name, recorded string, build func() object) (jobState, error) {
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
	job, err := find(ctx, r.Live, s, "Job", name, &batchv1.Job{})
	if err != nil {
		return state, err
	}
	if job != nil && metav1.IsControlledBy(job, s.DownstreamNode) {
		state.phase, state.message = progressOf(job)
		state.refused = refusesKey(job)
		return state, r.readAttempts(ctx, s, role, job, &state)
	}
	state.phase = jobRunning
	if err := r.applyConfig(ctx, s, role); err != nil {
		return state, err
	}
	return state, r.apply(ctx, s, jobKind, name, build())
}

// readAttempts reads from a Job's pods why it has not completed.
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

// clearJobs deletes the Jobs of a role except the one to keep. It returns what
// the operator still has to wait for. It does not interrupt a running pod.
func (r *Reconciler) clearJobs(ctx context.Context, s *scope, role desired.Role, keep string) (inTheWay string, err error) {
	jobs := &batchv1.JobList{}
	if err := r.Live.List(ctx, jobs, client.InNamespace(s.Namespace), client.MatchingLabels(s.Selector(role))); err != nil {
		return "", fmt.Errorf("list the %s Jobs: %w", role, err)
	}
	for i := range jobs.Items {
		job := &jobs.Items[i]
		deleted := !job.DeletionTimestamp.IsZero()
		phase, _ := progressOf(job)
		switch {
		case !metav1.IsControlledBy(job, s.DownstreamNode):
		case !deleted && job.Name == keep:
		case !deleted && phase == jobRunning && job.Status.Ready != nil && *job.Status.Ready > 0:
			inTheWay = fmt.Sprintf("waiting for the Job %s to end, because its pod is running", job.Name)
		default:
			if !deleted {
				if err := r.delete(ctx, job, client.PropagationPolicy(metav1.DeletePropagationForeground)); err != nil {
					return "", err
				}
			}
			inTheWay = fmt.Sprintf("waiting until the Job %s is deleted", job.Name)
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
			return jobFailed, fmt.Sprintf("%s; see `kubectl logs job/%s`, and delete the Job to try again", c.Message, job.Name)
		}
	}
	return jobRunning, ""
}

// refusesKey reports whether a Job failed because the database has another
// heartbeat key. The Job's pod failure policy has no other rule.
func refusesKey(job *batchv1.Job) bool {
	return slices.ContainsFunc(job.Status.Conditions, func(c batchv1.JobCondition) bool {
		return c.Type == batchv1.JobFailed && c.Status == corev1.ConditionTrue && c.Reason == batchv1.JobReasonPodFailurePolicy
	})
}
