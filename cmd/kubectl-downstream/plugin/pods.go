package plugin

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/controllers/desired"
	"github.com/driveshare/downstream-node/internal/farmer"
)

// podTimeout limits the wait for the responses of pods.
const podTimeout = 5 * time.Second

// farmersOnline returns the number of online farmers and the number of all farmers.
func (c *cluster) farmersOnline(ctx context.Context, node *v1.DownstreamNode) (string, error) {
	if node.Status.API.ReadyReplicas == 0 {
		return "", errors.New("no API replica is ready")
	}
	api, err := c.farmerAPI(node)
	if err != nil {
		return "", err
	}
	farmers, err := api.StatusList(ctx, farmer.StatusQuery{})
	online := 0
	for _, f := range farmers {
		if f.Online {
			online++
		}
	}
	return fmt.Sprintf("%d of %d", online, len(farmers)), err
}

// oldestWaiting reads the age of the oldest waiting proof from a ready worker. One
// worker is enough, because each worker reads the whole queue.
func (c *cluster) oldestWaiting(ctx context.Context, node *v1.DownstreamNode) (string, error) {
	selector, err := labels.Parse(node.Status.Workers.Selector)
	if err != nil || selector.Empty() {
		return "", errors.New("the status has no selector for the workers")
	}
	var pods corev1.PodList
	if err := c.List(ctx, &pods, client.InNamespace(c.namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return "", err
	}
	err = errors.New("no worker is ready")
	for _, pod := range pods.Items {
		if !podReady(&pod) {
			continue
		}
		var oldest time.Duration
		if oldest, err = c.oldestSeenBy(ctx, pod.Name); err == nil {
			return oldest.Round(100 * time.Millisecond).String(), nil
		}
	}
	return "", err
}

func podReady(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil
		}
	}
	return false
}

// oldestSeenBy reads the age of the oldest waiting proof from a worker's metrics.
func (c *cluster) oldestSeenBy(ctx context.Context, pod string) (time.Duration, error) {
	status, body, err := c.getFromPod(ctx, pod, "metrics")
	if err != nil {
		return 0, err
	}
	if !strings.HasPrefix(status, "200 ") {
		return 0, fmt.Errorf("read the metrics of pod %s: %s", pod, status)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("read the metrics of pod %s: %w", pod, err)
	}
	if samples := families["downstream_queue_oldest_seconds"].GetMetric(); len(samples) > 0 {
		return time.Duration(samples[0].GetGauge().GetValue() * float64(time.Second)), nil
	}
	return 0, fmt.Errorf("pod %s cannot read Redis", pod)
}

// unready returns a line for one API pod that is not ready, and a line for one worker
// that is not ready. One pod of a role is enough: if a rollout does not progress, its
// pods usually have the same problem.
func (c *cluster) unready(ctx context.Context, node *v1.DownstreamNode) (lines []string) {
	ctx, cancel := context.WithTimeout(ctx, podTimeout)
	defer cancel()
	of := desired.Node{DownstreamNode: node}
	for _, role := range []desired.Role{desired.API, desired.Workers} {
		var pods corev1.PodList
		if err := c.List(ctx, &pods, client.InNamespace(c.namespace), client.MatchingLabels(of.Selector(role))); err != nil {
			return append(lines, fmt.Sprintf("Pods that are not ready: unknown (%v)", err))
		}
		waits := func(pod corev1.Pod) bool {
			// An evicted or completed pod never becomes ready, and another one has replaced it.
			ended := pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
			return !podReady(&pod) && !ended && pod.DeletionTimestamp == nil
		}
		if i := slices.IndexFunc(pods.Items, waits); i >= 0 {
			lines = append(lines, fmt.Sprintf("Pod %s is not ready: %s", pods.Items[i].Name, c.whyUnready(ctx, &pods.Items[i])))
		}
	}
	return lines
}

// whyUnready returns the reason why a pod is not ready. If the pod does not run, the
// reason is in its status. If the pod runs, the reason is in its /readyz response.
func (c *cluster) whyUnready(ctx context.Context, pod *corev1.Pod) string {
	for _, s := range pod.Status.ContainerStatuses {
		if s.State.Waiting != nil {
			return fmt.Sprintf("%s; see `kubectl -n %s logs %s --previous`", cmp.Or(s.State.Waiting.Message, s.State.Waiting.Reason), pod.Namespace, pod.Name)
		}
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			return condition.Message
		}
	}
	failed, err := c.failedChecks(ctx, pod.Name)
	return orUnknown(cmp.Or(failed, "it will be ready soon"), err)
}

// failedChecks returns the failed checks of a pod's /readyz.
func (c *cluster) failedChecks(ctx context.Context, pod string) (string, error) {
	status, body, err := c.getFromPod(ctx, pod, "readyz")
	if err != nil {
		return "", err
	}
	var checks map[string]string
	if err := json.Unmarshal(body, &checks); err != nil {
		// The response comes from the proxy, not from the pod.
		return "", fmt.Errorf("%s: %s", status, strings.TrimSpace(string(body)))
	}
	var failed []string
	for _, name := range slices.Sorted(maps.Keys(checks)) {
		if checks[name] != "ok" {
			failed = append(failed, name+": "+checks[name])
		}
	}
	return strings.Join(failed, "; "), nil
}
