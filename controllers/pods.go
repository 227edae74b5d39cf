package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/controllers/desired"
)

// pods gets the pods of a role. Pods are not watched: there are many, and they
// are asked for only where something does not get on.
func (r *Reconciler) pods(ctx context.Context, s *scope, role desired.Role) ([]corev1.Pod, error) {
	pods := &corev1.PodList{}
	if err := r.Live.List(ctx, pods, client.InNamespace(s.Namespace), client.MatchingLabels(s.Selector(role))); err != nil {
		return nil, fmt.Errorf("list the %s pods: %w", role, err)
	}
	return pods.Items, nil
}

// pullFailures are the reasons for which a container waits when its image did
// not come.
var pullFailures = []string{"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"}

// unpulled names an image that a pod waits for in vain, and why; it is empty
// where none does.
func unpulled(pods []corev1.Pod) string {
	for _, pod := range pods {
		for _, c := range pod.Status.ContainerStatuses {
			if w := c.State.Waiting; w != nil && slices.Contains(pullFailures, w.Reason) {
				return fmt.Sprintf("the image %s cannot be pulled: %s", c.Image, excerpt(w.Reason+": "+w.Message))
			}
		}
	}
	return ""
}

// lastWords are the last line that the pod which failed last wrote, or what it
// ended with where it wrote none.
func lastWords(pods []corev1.Pod) string {
	var last *corev1.ContainerStateTerminated
	for _, pod := range pods {
		for _, c := range pod.Status.ContainerStatuses {
			if t := c.State.Terminated; t != nil && t.ExitCode != 0 && (last == nil || last.FinishedAt.Before(&t.FinishedAt)) {
				last = t
			}
		}
	}
	if last == nil {
		return "" // it has been deleted, or did not get as far as to start
	}
	text := strings.TrimSpace(last.Message)
	if line := excerpt(text[strings.LastIndex(text, "\n")+1:]); line != "" {
		return line
	}
	return fmt.Sprintf("exit code %d (%s)", last.ExitCode, last.Reason)
}
