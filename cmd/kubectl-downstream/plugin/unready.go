package plugin

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1alpha1"
	"github.com/driveshare/downstream-node/controllers/desired"
)

// unready tells of one API pod and of one worker that are not ready, a line
// each: where nothing gets on, one of several says what they all wait for.
func (c *cluster) unready(ctx context.Context, node *v1alpha1.DownstreamNode) (lines []string) {
	ctx, cancel := context.WithTimeout(ctx, observeTimeout)
	defer cancel()
	of := desired.Node{DownstreamNode: node}
	for _, role := range []desired.Role{desired.API, desired.Workers} {
		var pods corev1.PodList
		if err := c.List(ctx, &pods, client.InNamespace(c.namespace), client.MatchingLabels(of.Selector(role))); err != nil {
			return append(lines, fmt.Sprintf("Pods that are not ready: unknown (%v)", err))
		}
		waits := func(pod corev1.Pod) bool { return !podReady(&pod) && pod.DeletionTimestamp == nil }
		if i := slices.IndexFunc(pods.Items, waits); i >= 0 {
			lines = append(lines, fmt.Sprintf("Pod %s is not ready: %s", pods.Items[i].Name, c.whyUnready(ctx, &pods.Items[i])))
		}
	}
	return lines
}

// whyUnready says what a pod waits for: by the kubelet's word where it does not
// run, and by its own where it does.
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
	answer, err := c.readiness(ctx, pod.Name)
	if err != nil {
		return fmt.Sprintf("unknown (%v)", err)
	}
	return answer
}

// readiness is what a pod's /readyz finds fault with. The fault is in the body
// of a 503, which clients of the API server's do not show.
func (c *cluster) readiness(ctx context.Context, pod string) (string, error) {
	url := c.proxied("pods", pod, strconv.Itoa(privatePort), "readyz")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url.String(), nil)
	if err != nil {
		return "", err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return "", err
	}
	var checks map[string]string
	if err := json.Unmarshal(body, &checks); err != nil {
		// It is the proxy that answers, and not the pod.
		return "", fmt.Errorf("%s: %s", resp.Status, strings.TrimSpace(string(body)))
	}
	var faults []string
	for _, name := range slices.Sorted(maps.Keys(checks)) {
		if checks[name] != "ok" {
			faults = append(faults, name+": "+checks[name])
		}
	}
	return cmp.Or(strings.Join(faults, "; "), "it is about to be"), nil
}
