package controllers

import (
	"context"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/controllers/desired"
)

// ensureAPI runs the API replicas.
func (r *Reconciler) ensureAPI(ctx context.Context, s *scope) error {
	live, err := r.deployment(ctx, s, desired.API)
	if err != nil {
		return err
	}
	replicas, autoscaled := apiReplicas(s, live)
	if err := r.ensurePool(ctx, s, desired.API, live, replicas, func() *appsv1ac.DeploymentApplyConfiguration { return s.APIDeployment(replicas) }); err != nil {
		return err
	}
	several := replicas != nil && *replicas >= 2 || replicas == nil && live.Spec.Replicas != nil && *live.Spec.Replicas >= 2
	if err := r.ensure(ctx, s, several, budgetKind, s.ObjectName(desired.API), func() named { return s.DisruptionBudget(desired.API) }); err != nil {
		return err
	}
	return r.ensure(ctx, s, autoscaled, autoscalerKind, s.ObjectName(desired.API), func() named { return s.APIAutoscaler() })
}

// apiReplicas is how many API replicas the operator asks for. Where an
// autoscaler does, the operator keeps what is there until the autoscaler has
// set the number itself, and then nil: a field that its only owner drops goes
// back to its default, which would be one replica.
func apiReplicas(s *scope, live *appsv1.Deployment) (replicas *int32, autoscaled bool) {
	a := s.Spec.API.Autoscaling
	switch {
	case a == nil && s.Spec.API.Replicas == nil:
		return new(int32(2)), false // not reached with the schema's default
	case a == nil:
		return s.Spec.API.Replicas, false
	case live == nil || live.Spec.Replicas == nil || *live.Spec.Replicas == 0:
		return &a.Min, true // an autoscaler leaves what has no replicas alone
	case setByOthers(live):
		return nil, true
	}
	return live.Spec.Replicas, true
}

// setByOthers says whether somebody else owns a Deployment's spec.replicas.
func setByOthers(live *appsv1.Deployment) bool {
	for _, entry := range live.ManagedFields {
		var fields struct {
			Spec struct {
				Replicas *struct{} `json:"f:replicas"`
			} `json:"f:spec"`
		}
		if entry.Manager == FieldOwner || entry.FieldsV1 == nil {
			continue
		}
		if json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields) == nil && fields.Spec.Replicas != nil {
			return true
		}
	}
	return false
}

// ensureWorkers runs the workers.
func (r *Reconciler) ensureWorkers(ctx context.Context, s *scope) error {
	live, err := r.deployment(ctx, s, desired.Workers)
	if err != nil {
		return err
	}
	replicas := r.workerReplicas(s, live)
	s.status.Workers.DesiredReplicas = replicas
	if err := r.ensurePool(ctx, s, desired.Workers, live, &replicas, func() *appsv1ac.DeploymentApplyConfiguration { return s.WorkersDeployment(replicas) }); err != nil {
		return err
	}
	return r.ensure(ctx, s, replicas >= 2, budgetKind, s.ObjectName(desired.Workers), func() named { return s.DisruptionBudget(desired.Workers) })
}

// ensurePool applies a Deployment, with its configuration before it. Until the
// database has the schema of the image, only the number of replicas follows.
func (r *Reconciler) ensurePool(ctx context.Context, s *scope, role desired.Role, live *appsv1.Deployment, replicas *int32, build func() *appsv1ac.DeploymentApplyConfiguration) error {
	if s.facts.migration.phase != jobComplete {
		return r.resize(ctx, s, live, replicas)
	}
	if err := r.apply(ctx, s, s.ConfigMap(role)); err != nil {
		return err
	}
	return r.apply(ctx, s, build())
}

// resize applies what was applied last, with another number of replicas.
func (r *Reconciler) resize(ctx context.Context, s *scope, live *appsv1.Deployment, replicas *int32) error {
	if live == nil || replicas == nil {
		return nil
	}
	last, err := appsv1ac.ExtractDeployment(live, FieldOwner)
	if err != nil {
		return fmt.Errorf("read what was applied of the Deployment %s: %w", live.Name, err)
	}
	if last.Spec == nil || last.Spec.Template == nil {
		return nil // it is not ours, or somebody took all of it over
	}
	last.Spec.WithReplicas(*replicas)
	return r.apply(ctx, s, last)
}

// deployment gets a Deployment as it is now, or nil where there is none.
func (r *Reconciler) deployment(ctx context.Context, s *scope, role desired.Role) (*appsv1.Deployment, error) {
	live := &appsv1.Deployment{}
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: s.ObjectName(role)}, live)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("get the Deployment %s: %w", s.ObjectName(role), err)
	}
	return live, nil
}
