package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/controllers/desired"
)

// pods lists the pods of a role. The operator does not watch pods: there are many
// pods, and the operator needs them only if a rollout or a Job does not progress.
func (r *Reconciler) pods(ctx context.Context, s *scope, role desired.Role) ([]corev1.Pod, error) {
	pods := &corev1.PodList{}
	if err := r.Live.List(ctx, pods, client.InNamespace(s.Namespace), client.MatchingLabels(s.Selector(role))); err != nil {
		return nil, fmt.Errorf("list the %s pods: %w", role, err)
	}
	return pods.Items, nil
}

// trouble is why a pod does not run or cannot be created, in the words of Kubernetes or
// of the pod. A later look may find that it has ended.
type trouble struct{ reason, message string }

func troubled(reason, format string, args ...any) *trouble {
	return &trouble{reason, fmt.Sprintf(format, args...)}
}

// podsTrouble returns the first trouble of pods, or nil. A pod that waits for its
// volumes or its network says so only by events.
func (r *Reconciler) podsTrouble(ctx context.Context, s *scope, pods []corev1.Pod) (*trouble, error) {
	for i := range pods {
		if t := podTrouble(&pods[i], r.now()); t != nil && pods[i].DeletionTimestamp.IsZero() {
			return t, nil
		}
	}
	for _, pod := range pods {
		if !creating(&pod) {
			continue
		}
		words, err := r.lastWarning(ctx, s, pod.UID)
		if err != nil || words != "" {
			return troubled(ReasonPodNotStarted, "the pod %s does not start: %s", pod.Name, words), err
		}
	}
	return nil, nil
}

// ownerTrouble returns why an object's pods cannot be created, or nil.
func (r *Reconciler) ownerTrouble(ctx context.Context, s *scope, kind string, owner client.Object) (*trouble, error) {
	words, err := r.lastWarning(ctx, s, owner.GetUID())
	if err != nil || words == "" {
		return nil, err
	}
	return troubled(ReasonPodsRefused, "the pods of the %s %s cannot be created: %s", kind, owner.GetName(), words), nil
}

// lastWarning returns the reason and the message of the latest warning about an object.
// The result is empty if there is none.
func (r *Reconciler) lastWarning(ctx context.Context, s *scope, uid types.UID) (string, error) {
	events := &corev1.EventList{}
	err := r.Live.List(ctx, events, client.InNamespace(s.Namespace),
		client.MatchingFields{"involvedObject.uid": string(uid), "type": corev1.EventTypeWarning}, client.Limit(100))
	if err != nil {
		return "", fmt.Errorf("list the events of %s: %w", uid, err)
	}
	if len(events.Items) == 0 {
		return "", nil
	}
	last := slices.MaxFunc(events.Items, func(a, b corev1.Event) int { return eventTime(&a).Compare(eventTime(&b)) })
	return excerpt(last.Reason + ": " + last.Message), nil
}

// eventTime returns when an event happened last. Senders use different fields.
func eventTime(e *corev1.Event) time.Time {
	switch {
	case e.Series != nil:
		return e.Series.LastObservedTime.Time
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}

// creating reports whether the pod has a machine, but no container has started.
func creating(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
		return c.State.Waiting != nil && c.State.Waiting.Reason == "ContainerCreating"
	})
}

// The reasons that Kubernetes reports for a waiting container.
var (
	pullFailures  = []string{"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"}
	startFailures = []string{"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
)

// The kubelet waits at most five minutes before it starts a container again. A pod that
// ended twice, and the last time within this time, is in a loop, also while it runs.
const (
	crashes    = 2
	crashPause = 5 * time.Minute
)

// containerStatuses returns the statuses of all containers. A pod template of the spec may
// add init containers.
func containerStatuses(pod *corev1.Pod) []corev1.ContainerStatus {
	return slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses)
}

// podTrouble returns the trouble that a pod's status shows, or nil.
func podTrouble(pod *corev1.Pod, now time.Time) *trouble {
	for _, c := range containerStatuses(pod) {
		var waits, message string
		if w := c.State.Waiting; w != nil {
			waits, message = w.Reason, excerpt(w.Reason+": "+w.Message)
		}
		last := c.LastTerminationState.Terminated
		loops := last != nil && !c.Ready && c.RestartCount >= crashes && now.Sub(last.FinishedAt.Time) < crashPause
		switch {
		case slices.Contains(pullFailures, waits):
			return troubled(ReasonImagePullFailed, "the image %s cannot be pulled: %s", c.Image, message)
		case slices.Contains(startFailures, waits):
			return troubled(ReasonPodNotStarted, "the pod %s does not start: %s", pod.Name, message)
		case last != nil && (loops || waits == "CrashLoopBackOff"):
			return troubled(ReasonPodCrashes, "the pod %s has ended %d times, the last time with: %s", pod.Name, c.RestartCount, lastLineOf(last))
		case waits == "CrashLoopBackOff":
			return troubled(ReasonPodCrashes, "the pod %s ends again and again: %s", pod.Name, message)
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return troubled(ReasonPodUnschedulable, "no machine can run the pod %s: %s", pod.Name, excerpt(c.Message))
		}
	}
	return nil
}

// evaluation is the state of an evaluation database.
type evaluation struct {
	ready   bool
	trouble *trouble // nil if no trouble was found
}

// readEvaluation reads the state of an evaluation database. It returns nil if the spec
// has none, or if its StatefulSet does not exist.
func (r *Reconciler) readEvaluation(ctx context.Context, s *scope, role desired.Role, wanted bool) (*evaluation, error) {
	if !wanted {
		return nil, nil
	}
	set, err := find(ctx, r.Live, s, "StatefulSet", s.ObjectName(role), &appsv1.StatefulSet{})
	if set == nil || err != nil {
		return nil, err
	}
	e := &evaluation{ready: set.Status.ReadyReplicas > 0}
	if e.ready {
		return e, nil
	}
	pods, err := r.pods(ctx, s, role)
	if err != nil {
		return nil, err
	}
	if e.trouble, err = r.podsTrouble(ctx, s, pods); e.trouble == nil && err == nil && len(pods) == 0 {
		e.trouble, err = r.ownerTrouble(ctx, s, "StatefulSet", set)
	}
	return e, err
}

// lastLine returns the last log line of the container that failed most recently. If
// that container wrote nothing, lastLine returns its exit code. If there is no failed
// container, the result is empty.
func lastLine(pods []corev1.Pod) string {
	var last *corev1.ContainerStateTerminated
	for _, pod := range pods {
		for _, c := range containerStatuses(&pod) {
			if t := c.State.Terminated; t != nil && t.ExitCode != 0 && (last == nil || last.FinishedAt.Before(&t.FinishedAt)) {
				last = t
			}
		}
	}
	if last == nil {
		return ""
	}
	return lastLineOf(last)
}

// lastLineOf returns the last log line of a container that has ended, or its exit code.
func lastLineOf(t *corev1.ContainerStateTerminated) string {
	text := strings.TrimSpace(t.Message)
	if line := excerpt(text[strings.LastIndex(text, "\n")+1:]); line != "" {
		return line
	}
	return fmt.Sprintf("exit code %d (%s)", t.ExitCode, t.Reason)
}
