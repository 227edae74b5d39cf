package controllers

import (
	"context"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"

	"github.com/driveshare/downstream-node/controllers/desired"
)

// checkTemplates ends the run if a pod template in the spec is wrong. It comes before the
// phases that build pods.
func (r *Reconciler) checkTemplates(_ context.Context, s *scope) error {
	if err := s.CheckPodTemplates(); err != nil {
		return block(ReasonPodTemplateInvalid, "%v. Until the template is correct, the operator changes no pod", err)
	}
	return nil
}

// ensureAPI runs the API replicas.
func (r *Reconciler) ensureAPI(ctx context.Context, s *scope) error {
	if s.endsPods() {
		return r.stopPods(ctx, s, desired.API)
	}
	live, err := r.deployment(ctx, s, desired.API)
	if err != nil {
		return err
	}
	replicas, autoscaled := apiReplicas(s, live)
	if err := r.ensurePool(ctx, s, desired.API, live, replicas, func() object { return s.APIDeployment(replicas) }); err != nil {
		return err
	}
	count := replicas
	if count == nil {
		count = live.Spec.Replicas
	}
	name := s.ObjectName(desired.API)
	return r.ensure(ctx, s,
		entry{count != nil && *count >= 2, budgetKind, name, func() object { return s.DisruptionBudget(desired.API) }},
		entry{autoscaled, autoscalerKind, name, func() object { return s.APIAutoscaler() }})
}

// apiReplicas returns the number of API replicas to apply.
//
// If the spec has autoscaling, the operator applies the current number until the
// autoscaler has set the field. After that it applies nil. It must not apply nil
// earlier: if the only owner of a field stops setting the field, Kubernetes resets
// the field to its default, one replica.
func apiReplicas(s *scope, live *appsv1.Deployment) (replicas *int32, autoscaled bool) {
	a := s.Spec.API.Autoscaling
	switch {
	case a == nil:
		return s.Spec.API.Replicas, false
	case live == nil || live.Spec.Replicas == nil || *live.Spec.Replicas == 0:
		return &a.Min, true // an autoscaler ignores a Deployment with 0 replicas
	case setByOthers(live):
		return nil, true
	}
	return live.Spec.Replicas, true
}

// setByOthers reports whether another field manager owns spec.replicas.
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
	if s.endsPods() {
		return r.stopPods(ctx, s, desired.Workers)
	}
	live, err := r.deployment(ctx, s, desired.Workers)
	if err != nil {
		return err
	}
	replicas := r.workerReplicas(s, live)
	s.status.Workers.DesiredReplicas = replicas
	if err := r.ensurePool(ctx, s, desired.Workers, live, &replicas, func() object { return s.WorkersDeployment(replicas) }); err != nil {
		return err
	}
	return r.ensure(ctx, s, entry{replicas >= 2, budgetKind, s.ObjectName(desired.Workers), func() object { return s.DisruptionBudget(desired.Workers) }})
}

// ensurePool applies a role's configuration and then its Deployment. Until the
// migration completes, it changes only the number of replicas.
func (r *Reconciler) ensurePool(ctx context.Context, s *scope, role desired.Role, live *appsv1.Deployment, replicas *int32, build func() object) error {
	if s.facts.migration.phase != jobComplete {
		return r.resize(ctx, s, live, replicas)
	}
	if err := r.applyConfig(ctx, s, role); err != nil {
		return err
	}
	return r.apply(ctx, s, deploymentKind, s.ObjectName(role), build())
}

// resize changes only the number of replicas. It applies the fields that the
// operator applied last, with the new number.
func (r *Reconciler) resize(ctx context.Context, s *scope, live *appsv1.Deployment, replicas *int32) error {
	if live == nil || replicas == nil {
		return nil
	}
	last, err := appsv1ac.ExtractDeployment(live, FieldOwner)
	if err != nil {
		return fmt.Errorf("read the applied fields of the Deployment %s: %w", live.Name, err)
	}
	if last.Spec == nil || last.Spec.Template == nil {
		return nil // the operator owns no field of the pod template
	}
	last.Spec.WithReplicas(*replicas)
	return r.apply(ctx, s, deploymentKind, live.Name, last)
}

func (r *Reconciler) applyConfig(ctx context.Context, s *scope, role desired.Role) error {
	return r.apply(ctx, s, configMapKind, s.ConfigName(role), s.ConfigMap(role))
}

// deployment reads a Deployment from the API server, not from the cache. It returns
// nil if the Deployment does not exist.
func (r *Reconciler) deployment(ctx context.Context, s *scope, role desired.Role) (*appsv1.Deployment, error) {
	return find(ctx, r.Live, s, "Deployment", s.ObjectName(role), &appsv1.Deployment{})
}
