package plugin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1alpha1"
	"github.com/driveshare/downstream-node/internal/farmer"
)

// live is what only the node's pods can tell, as text: a figure, or why there
// is none.
type live struct{ oldest, online string }

// observeTimeout bounds the wait for pods that do not answer.
const observeTimeout = 5 * time.Second

func (c *cluster) observe(ctx context.Context, node *v1alpha1.DownstreamNode) live {
	ctx, cancel := context.WithTimeout(ctx, observeTimeout)
	defer cancel()
	var l live
	if oldest, err := c.oldestWaiting(ctx, node); err != nil {
		l.oldest = fmt.Sprintf("unknown (%v)", err)
	} else {
		l.oldest = oldest.Round(100 * time.Millisecond).String()
	}
	if online, all, err := c.farmersOnline(ctx, node); err != nil {
		l.online = fmt.Sprintf("unknown (%v)", err)
	} else {
		l.online = fmt.Sprintf("%d of %d", online, all)
	}
	return l
}

func (c *cluster) farmersOnline(ctx context.Context, node *v1alpha1.DownstreamNode) (online, all int, err error) {
	if node.Status.API.ReadyReplicas == 0 {
		return 0, 0, errors.New("no API replica is ready")
	}
	api, err := c.farmerAPI(node)
	if err != nil {
		return 0, 0, err
	}
	farmers, err := api.StatusList(ctx, farmer.StatusQuery{})
	for _, f := range farmers {
		if f.Online {
			online++
		}
	}
	return online, len(farmers), err
}

const (
	privatePort  = 9090
	oldestMetric = "downstream_queue_oldest_seconds"
)

// oldestWaiting asks a ready worker, any of which sees the whole queue.
func (c *cluster) oldestWaiting(ctx context.Context, node *v1alpha1.DownstreamNode) (time.Duration, error) {
	selector, err := labels.Parse(node.Status.Workers.Selector)
	if err != nil || selector.Empty() {
		return 0, errors.New("the status names no workers")
	}
	var pods corev1.PodList
	if err := c.List(ctx, &pods, client.InNamespace(c.namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return 0, err
	}
	err = errors.New("no worker is ready")
	for _, pod := range pods.Items {
		if !podReady(&pod) {
			continue
		}
		var oldest time.Duration
		if oldest, err = c.oldestSeenBy(ctx, pod.Name); err == nil {
			return oldest, nil
		}
	}
	return 0, err
}

func podReady(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil
		}
	}
	return false
}

// oldestSeenBy reads the metrics of a worker.
func (c *cluster) oldestSeenBy(ctx context.Context, pod string) (time.Duration, error) {
	url := c.proxied("pods", pod, strconv.Itoa(privatePort), "metrics")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url.String(), nil)
	if err != nil {
		return 0, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("the metrics of pod %s: %s", pod, resp.Status)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		return 0, fmt.Errorf("the metrics of pod %s: %w", pod, err)
	}
	if samples := families[oldestMetric].GetMetric(); len(samples) > 0 {
		return time.Duration(samples[0].GetGauge().GetValue() * float64(time.Second)), nil
	}
	return 0, errors.New("no word from Redis")
}
