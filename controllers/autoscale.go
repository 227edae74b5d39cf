package controllers

import (
	"context"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/driveshare/downstream-node/api/v1alpha1"
)

// askBacklog asks Redis how much work waits. What it does not tell is unknown,
// and changes nothing.
func (r *Reconciler) askBacklog(ctx context.Context, s *scope) error {
	// An editor ends a file with a newline that is no part of the URL.
	url := strings.TrimRight(string(s.Inputs.RedisURL), "\r\n")
	backlog, err := r.Backlog(ctx, url, s.RedisName())
	if err != nil {
		backlogErrors.WithLabelValues(s.Namespace, s.Name).Inc()
		log.FromContext(ctx).V(1).Info("Redis did not tell the backlog", "error", err.Error())
		return nil
	}
	s.status.Backlog = &backlog
	return nil
}

// workerReplicas is how many workers there should be.
func (r *Reconciler) workerReplicas(s *scope, live *appsv1.Deployment) int32 {
	a := s.Spec.Workers.Autoscaling
	if a == nil {
		r.history.forget(s.nodeKey())
		if s.Spec.Workers.Replicas == nil {
			return 1
		}
		return *s.Spec.Workers.Replicas
	}
	least := minWorkers(a)
	current := least
	if live != nil && live.Spec.Replicas != nil {
		current = *live.Spec.Replicas
	}
	wanted := current
	if backlog := s.status.Backlog; backlog != nil {
		wanted = r.history.smooth(s.nodeKey(), r.now(), current, wantedWorkers(a, *backlog), scaleDownDelay(a))
	}
	wanted = min(max(wanted, least), a.Max)
	if live != nil && wanted != current {
		s.note(corev1.EventTypeNormal, "WorkersScaled", "Scaled workers from %d to %d", current, wanted)
	}
	return wanted
}

// wantedWorkers is how many workers a backlog is work for.
func wantedWorkers(a *v1alpha1.WorkersAutoscaling, backlog int64) int32 {
	per := int64(max(a.TargetBacklogPerWorker, 1))
	workers := (max(backlog, 0) + per - 1) / per
	return int32(min(max(workers, int64(minWorkers(a))), int64(a.Max)))
}

func minWorkers(a *v1alpha1.WorkersAutoscaling) int32 {
	if a.Min == nil {
		return 1
	}
	return *a.Min
}

func scaleDownDelay(a *v1alpha1.WorkersAutoscaling) time.Duration {
	if a.ScaleDownDelaySeconds == nil {
		return 0
	}
	return time.Duration(*a.ScaleDownDelaySeconds) * time.Second
}

// history remembers how many workers each node was wanted to have, so that a
// moment without work takes none away. It is lost with the process; then what
// is there counts as wanted now.
type history struct {
	mu     sync.Mutex
	byNode map[types.NamespacedName][]want
}

type want struct {
	at      time.Time
	workers int32
}

// smooth adds what is wanted now and gives the most that was wanted within the
// delay.
func (h *history) smooth(node types.NamespacedName, now time.Time, current, wanted int32, delay time.Duration) int32 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.byNode == nil {
		h.byNode = make(map[types.NamespacedName][]want)
	}
	wants := h.byNode[node]
	if wants == nil {
		wants = []want{{now, current}}
	}
	wants = append(wants, want{now, wanted})
	kept := wants[:0]
	most := wanted
	for _, w := range wants {
		if now.Sub(w.at) < delay {
			kept = append(kept, w)
			most = max(most, w.workers)
		}
	}
	h.byNode[node] = kept
	return most
}

func (h *history) forget(node types.NamespacedName) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.byNode, node)
}

func (s *scope) nodeKey() types.NamespacedName {
	return types.NamespacedName{Namespace: s.Namespace, Name: s.Name}
}
