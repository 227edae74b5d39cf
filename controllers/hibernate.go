package controllers

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/controllers/desired"
)

// hibernation is how far a node is on the way to no pods, or back. The condition Hibernated
// records it.
type hibernation int

const (
	awake hibernation = iota
	// hibernating: a Job records a maintenance that begins at once. Then the pods of the API
	// and the workers end.
	hibernating
	// hibernated: they have ended. The evaluation databases end, or have ended.
	hibernated
	// waking: the databases and the pods start. The maintenance lasts until they are ready.
	waking
)

var hibernationReasons = map[hibernation]string{
	awake: ReasonNotHibernated, hibernating: ReasonHibernating, hibernated: ReasonHibernated, waking: ReasonWakingUp,
}

// hibernationOf returns the state from which a reconcile starts. A later phase may find
// that all pods have ended, or are ready.
func hibernationOf(node *v1.DownstreamNode) hibernation {
	recorded := awake
	if c := meta.FindStatusCondition(node.Status.Conditions, v1.Hibernated); c != nil {
		for state, reason := range hibernationReasons {
			if c.Reason == reason {
				recorded = state
			}
		}
	}
	// A node without a key has no schema and no farmer yet.
	unused := node.Status.HeartbeatKey.SecretName == "" && recorded == awake
	switch {
	case node.Spec.Paused:
		return recorded
	case node.Spec.Hibernate && (recorded == hibernated || unused):
		return hibernated
	case node.Spec.Hibernate:
		return hibernating
	case recorded == awake:
		return awake
	}
	return waking
}

// hibernatedPhases lists the steps for a node whose pods have ended.
var hibernatedPhases = []phase{
	(*Reconciler).ensureEdges,
	(*Reconciler).ensureDatabases,
	(*Reconciler).keepHibernated,
}

// keepHibernated ends pods that another client has started. It also deletes the Job of the maintenance, so
// that the next hibernation runs it again.
func (r *Reconciler) keepHibernated(ctx context.Context, s *scope) error {
	for _, role := range []desired.Role{desired.API, desired.Workers} {
		if err := r.stopPods(ctx, s, role); err != nil {
			return err
		}
	}
	if err := r.remove(ctx, s, cronJobKind, s.ObjectName(desired.Backup)); err != nil {
		return err
	}
	if s.status.Maintenance != "" {
		s.status.Maintenance = maintenancePending
	}
	_, err := r.clearJobs(ctx, s, desired.Maintenance, "")
	return err
}

// endsPods reports whether the pods of the API and the workers must end now.
func (s *scope) endsPods() bool {
	return s.facts.hibernation == hibernating && s.facts.maintenance.phase == jobComplete
}

// stopPods ends the pods of a role. It changes neither their template nor their
// configuration.
func (r *Reconciler) stopPods(ctx context.Context, s *scope, role desired.Role) error {
	name := s.ObjectName(role)
	// An autoscaler would set the number again.
	err := r.ensure(ctx, s, entry{kind: autoscalerKind, name: name}, entry{kind: budgetKind, name: name})
	if err != nil {
		return err
	}
	if role == desired.Workers {
		s.status.Workers.DesiredReplicas = 0
	}
	live, err := r.deployment(ctx, s, role)
	if err != nil {
		return err
	}
	return r.resize(ctx, s, live, new(int32))
}

// finishHibernation finds out whether the pods of a hibernating node have ended, or the pods
// of a waking node are ready.
func (r *Reconciler) finishHibernation(ctx context.Context, s *scope) error {
	next := hibernated
	switch {
	case s.facts.hibernation == waking:
		next = awake
	case !s.endsPods():
		return nil
	}
	for _, role := range []desired.Role{desired.API, desired.Workers} {
		if done, err := r.poolDone(ctx, s, role); !done || err != nil {
			return err
		}
	}
	s.facts.hibernation = next
	return errRecordFirst
}

// poolDone reports whether a role of a hibernating node has no pod left, not even one that
// is ending and needs its database, or a role of a waking node has a pod that is available.
func (r *Reconciler) poolDone(ctx context.Context, s *scope, role desired.Role) (bool, error) {
	if s.facts.hibernation == hibernating {
		pods, err := r.pods(ctx, s, role)
		return len(pods) == 0, err
	}
	d, err := r.deployment(ctx, s, role)
	if d == nil || err != nil {
		return false, err
	}
	p := poolOf(d)
	return !p.unread && (p.available > 0 || ptr.Deref(d.Spec.Replicas, 1) == 0), nil
}

// stopped reports whether a Deployment has no pods because the node hibernates.
func (f facts) stopped(p pool) bool {
	return f.hibernation == hibernated || f.hibernation == hibernating && p.found && p.desired == 0
}

// hibernates computes the condition Hibernated.
func hibernates(f facts) verdict {
	v := verdict{status: metav1.ConditionFalse, reason: hibernationReasons[f.hibernation]}
	switch f.hibernation {
	case awake:
		v.message = "The node does not hibernate."
	case hibernating:
		v.message = "A Job records a maintenance of the node. Then the pods end."
	case hibernated:
		v.status = metav1.ConditionTrue
		v.message = "spec.hibernate is true, so the node has no pods. No contract expires. To start the pods again, remove spec.hibernate."
	case waking:
		v.message = "The pods start. The maintenance of the node lasts until they are ready, so no contract expires."
	}
	return v
}
