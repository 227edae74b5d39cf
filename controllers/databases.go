package controllers

import (
	"context"
	"crypto/rand"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/controllers/desired"
)

// ensureDatabases runs the databases of an evaluation. One that is no longer
// asked for goes; its volume claim and its passwords stay.
func (r *Reconciler) ensureDatabases(ctx context.Context, s *scope) error {
	mysql, redis := s.Spec.MySQL.Evaluation != nil, s.Spec.Redis.Evaluation != nil
	if mysql {
		if err := r.ensureCredentials(ctx, s, s.MySQLEvaluationSecret(rand.Text(), rand.Text())); err != nil {
			return err
		}
	}
	if redis {
		if err := r.ensureCredentials(ctx, s, s.RedisEvaluationSecret(rand.Text())); err != nil {
			return err
		}
	}
	if err := r.ensureDatabase(ctx, s, desired.MySQL, mysql,
		func() named { return s.MySQLStatefulSet() }, func() named { return s.MySQLNetworkPolicy() }); err != nil {
		return err
	}
	return r.ensureDatabase(ctx, s, desired.Redis, redis,
		func() named { return s.RedisStatefulSet() }, func() named { return s.RedisNetworkPolicy() })
}

func (r *Reconciler) ensureDatabase(ctx context.Context, s *scope, role desired.Role, wanted bool, statefulSet, policy func() named) error {
	name := s.ObjectName(role)
	policies := s.Spec.NetworkPolicy.Enabled == nil || *s.Spec.NetworkPolicy.Enabled
	if err := r.ensure(ctx, s, wanted, serviceKind, name, func() named { return s.EvaluationService(role) }); err != nil {
		return err
	}
	if err := r.ensure(ctx, s, wanted && policies, networkPolicyKind, name, policy); err != nil {
		return err
	}
	return r.ensure(ctx, s, wanted, statefulSetKind, name, statefulSet)
}

// ensureCredentials makes the passwords of a database once: what is on its
// volume was made with the first ones.
func (r *Reconciler) ensureCredentials(ctx context.Context, s *scope, secret *corev1.Secret) error {
	live, err := r.secret(ctx, s, secret.Name)
	if err != nil {
		return err
	}
	if live == nil {
		err := r.Client.Create(ctx, secret, client.FieldOwner(FieldOwner))
		if !apierrors.IsAlreadyExists(err) {
			if err != nil {
				return notWritten("Secret", secret.Name, err)
			}
			return nil
		}
		if live, err = r.secret(ctx, s, secret.Name); err != nil || live == nil {
			return err
		}
	}
	if !s.Ours(live) {
		return block(ReasonOwnershipConflict, "the Secret %s is not this node's; rename the node, or delete the Secret if nobody needs it", secret.Name)
	}
	return nil
}

// secret gets a Secret as it is now, or nil where there is none.
func (r *Reconciler) secret(ctx context.Context, s *scope, name string) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: name}, secret)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("get the Secret %s: %w", name, err)
	}
	return secret, nil
}
