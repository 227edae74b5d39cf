package controllers

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/driveshare/downstream-node/api/v1"
)

// An operator claims each node in its status. Without claims, two operators with
// different images would replace each other's Jobs and pods for ever. Leader election
// does not prevent that: it works among the replicas of one installation.
//
// A claim ends if its operator does not renew it, so that a node does not stay without an
// operator. The renewal is part of a reconcile, so a claim must outlast the longest
// interval between two reconciles.
const (
	claimDuration = 3 * watchedInterval
	claimRenewal  = watchedInterval
)

// claim makes this operator the operator of the node, and reports whether it is. first
// reports that the claim must be written before the phases run.
//
// If the CRD on the cluster is older than this operator, writeStatus leaves the claim out.
// Then the operator manages the node without one.
func (r *Reconciler) claim(ctx context.Context, s *scope) (ours, first bool) {
	now := r.now()
	current := s.status.Operator
	ours = current != nil && current.Name == r.Identity
	expires := now
	if current != nil {
		expires = current.RenewTime.Add(claimDuration)
	}
	switch {
	case current != nil && !ours && now.Before(expires):
		log.FromContext(ctx).Info("another operator manages this node, so this one leaves it alone; let only one operator watch the namespace",
			"operator", current.Name, "claimExpires", expires)
		return false, false
	case ours && now.Before(expires.Add(claimRenewal-claimDuration)):
		return true, false
	}
	_, dropped := r.claims.Load(s.nodeKey())
	dropped = dropped && current == nil
	r.claims.Store(s.nodeKey(), true)
	s.status.Operator = &v1.OperatorStatus{Name: r.Identity, RenewTime: metav1.NewTime(now.Truncate(time.Second))}
	return true, !dropped && (!ours || !now.Before(expires))
}
