package controllers

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/controllers/desired"
	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/queue"
	"github.com/driveshare/downstream-node/internal/redisdb"
)

// BacklogReader reads the backlog of the node that the options name: the number of
// verification jobs that wait or are being verified.
type BacklogReader func(ctx context.Context, o redisdb.Options) (int64, error)

// backlogTimeout limits one read. An unreachable Redis must not delay the
// reconciles of other nodes.
const backlogTimeout = 2 * time.Second

// ReadBacklog is the BacklogReader for production. It opens a connection for each
// read, because reads are seconds apart and the address may change.
func ReadBacklog(ctx context.Context, o redisdb.Options) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, backlogTimeout)
	defer cancel()
	o.Timeout = backlogTimeout
	db, err := redisdb.Open(o)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	stats, err := queue.New(db, queue.Config{}, slog.Default()).Stats(ctx)
	if err != nil {
		return 0, err
	}
	return stats.Length, nil
}

// readBacklog stores the backlog in the status. If Redis cannot be read, the
// backlog is unknown, so it does not change the number of workers.
func (r *Reconciler) readBacklog(ctx context.Context, s *scope) error {
	var backlog int64
	o, err := redisOptions(s.Node)
	if err == nil {
		backlog, err = r.Backlog(ctx, o)
	}
	if err != nil {
		backlogErrors.WithLabelValues(s.Namespace, s.Name).Inc()
		log.FromContext(ctx).V(1).Info("cannot read the backlog from Redis", "error", err.Error())
		return nil
	}
	s.status.Backlog = &backlog
	return nil
}

// redisOptions returns the options that the configuration of the pods describes. The
// operator has the contents of Secrets, but no files with them.
func redisOptions(n *desired.Node) (redisdb.Options, error) {
	text := func(name string) string {
		// Editors end a file with a newline, which is not part of the value.
		return strings.TrimRight(string(n.Inputs.Redis[name]), "\r\n")
	}
	o := redisdb.Options{Namespace: n.RedisName()}
	c := n.Spec.Redis.Connection
	if c == nil {
		o.URL = config.Secret(text("url"))
		return o, nil
	}
	o.Addrs, o.MasterName, o.Cluster, o.DB = n.RedisAddrs(), c.MasterName, c.Cluster, int(c.Database)
	o.Username, o.Password = cmp.Or(c.Username, text("username")), config.Secret(text("password"))
	o.SentinelUsername, o.SentinelPassword = cmp.Or(c.SentinelUsername, text("sentinelUsername")), config.Secret(text("sentinelPassword"))
	if !c.TLS && c.CASecretRef == nil && c.ClientCertificateSecretRef == nil {
		return o, nil
	}
	var err error
	if o.Secure, err = config.NewClientTLS(n.Inputs.Redis["ca"], n.Inputs.Redis["cert"], n.Inputs.Redis["key"]); err != nil {
		return o, fmt.Errorf("spec.redis.connection: %w", err)
	}
	return o, nil
}

// workerReplicas returns the number of workers to apply.
func (r *Reconciler) workerReplicas(s *scope, live *appsv1.Deployment) int32 {
	a := s.Spec.Workers.Autoscaling
	if a == nil {
		r.history.forget(s.nodeKey())
		return ptr.Deref(s.Spec.Workers.Replicas, 1)
	}
	least := ptr.Deref(a.Min, 1)
	current := least
	if live != nil {
		current = ptr.Deref(live.Spec.Replicas, least)
	}
	wanted := current
	if backlog := s.status.Backlog; backlog != nil {
		delay := time.Duration(ptr.Deref(a.ScaleDownDelaySeconds, 0)) * time.Second
		wanted = r.history.smooth(s.nodeKey(), r.now(), current, wantedWorkers(a, *backlog), delay)
	}
	wanted = min(max(wanted, least), a.Max)
	if live != nil && wanted != current {
		s.note(corev1.EventTypeNormal, "WorkersScaled", "Scaled workers from %d to %d", current, wanted)
	}
	return wanted
}

// wantedWorkers returns the number of workers for a backlog.
func wantedWorkers(a *v1.WorkersAutoscaling, backlog int64) int32 {
	per := int64(max(a.TargetBacklogPerWorker, 1))
	workers := (max(backlog, 0) + per - 1) / per
	return int32(min(max(workers, int64(ptr.Deref(a.Min, 1))), int64(a.Max)))
}

// history holds, for each node, the numbers of workers that were wanted recently.
// It prevents a short pause from removing workers. The history is lost when the
// process ends; a new process starts with the current number of workers.
type history struct {
	mu     sync.Mutex
	byNode map[types.NamespacedName][]want
}

type want struct {
	at      time.Time
	workers int32
}

// smooth records the number of workers wanted now. It returns the largest number
// wanted within the delay.
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
	recent := wants[:0]
	most := wanted
	for _, w := range wants {
		if now.Sub(w.at) < delay {
			recent = append(recent, w)
			most = max(most, w.workers)
		}
	}
	h.byNode[node] = recent
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
