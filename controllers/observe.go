package controllers

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/controllers/desired"
)

// observe works the status out from what is there now.
func (r *Reconciler) observe(ctx context.Context, s *scope) error {
	var err error
	if s.facts.api, err = r.readPool(ctx, s, desired.API); err != nil {
		return err
	}
	if s.facts.workers, err = r.readPool(ctx, s, desired.Workers); err != nil {
		return err
	}
	s.status.API.Replicas, s.status.API.ReadyReplicas = s.facts.api.running, s.facts.api.ready
	s.status.Workers.Replicas, s.status.Workers.ReadyReplicas = s.facts.workers.running, s.facts.workers.ready
	s.status.Workers.Selector = labels.SelectorFromSet(s.Selector(desired.Workers)).String()
	if s.status.URL, err = r.url(ctx, s); err != nil {
		return err
	}
	s.status.ObservedGeneration = s.Generation
	setConditions(&s.status.Conditions, s.facts, s.Generation)
	if s.facts.paused || s.facts.blocked != nil || !s.facts.api.settled || !s.facts.workers.settled || s.facts.migration.phase != jobComplete {
		return nil
	}
	return r.pruneConfigs(ctx, s)
}

// readPool finds out how a Deployment stands, and where it has not come to rest
// asks its pods why.
func (r *Reconciler) readPool(ctx context.Context, s *scope, role desired.Role) (pool, error) {
	d, err := r.deployment(ctx, s, role)
	if err != nil {
		return pool{}, err
	}
	p := poolOf(d)
	if !p.found || p.settled {
		return p, nil
	}
	pods, err := r.pods(ctx, s, role)
	p.unpulled = unpulled(pods)
	return p, err
}

// poolOf reads a Deployment's status, which is nil where there is none.
func poolOf(d *appsv1.Deployment) pool {
	if d == nil {
		return pool{}
	}
	p := pool{
		found:     true,
		desired:   1,
		running:   d.Status.Replicas,
		ready:     d.Status.ReadyReplicas,
		available: d.Status.AvailableReplicas,
	}
	if d.Spec.Replicas != nil {
		p.desired = *d.Spec.Replicas
	}
	p.settled = d.Status.ObservedGeneration >= d.Generation &&
		d.Status.UpdatedReplicas == p.desired && d.Status.Replicas == p.desired && d.Status.AvailableReplicas == p.desired
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse && d.Status.ObservedGeneration >= d.Generation {
			p.stalled = c.Message
		}
		if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
			p.stalled = excerpt(c.Message) + "." // as where a quota is used up
			break
		}
	}
	return p
}

// url is where farmers reach the API.
func (r *Reconciler) url(ctx context.Context, s *scope) (string, error) {
	if i := s.Spec.API.Ingress; i != nil {
		scheme := "http"
		if i.TLSSecretName != "" {
			scheme = "https"
		}
		return scheme + "://" + i.Host, nil
	}
	if g := s.Spec.API.Gateway; g != nil && len(g.Hostnames) > 0 {
		return "https://" + g.Hostnames[0], nil
	}
	service := &corev1.Service{}
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: s.ObjectName(desired.API)}, service)
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("get the Service: %w", err)
	}
	host := fmt.Sprintf("%s.%s.svc", service.Name, service.Namespace)
	for _, in := range service.Status.LoadBalancer.Ingress {
		if in.Hostname != "" {
			host = in.Hostname
		} else if in.IP != "" {
			host = in.IP
		}
	}
	return fmt.Sprintf("http://%s:%d", host, s.Spec.API.Service.Port), nil
}

// pruneConfigs deletes the configurations that no pod reads any more. It is
// for when every pod is of the newest template.
func (r *Reconciler) pruneConfigs(ctx context.Context, s *scope) error {
	keep := map[string]bool{}
	roles := []desired.Role{desired.API, desired.Workers, desired.Migration, desired.Whitelist}
	for _, role := range roles {
		keep[s.ConfigName(role)] = true
	}
	for _, role := range roles {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(configMapKind)
		if err := r.Client.List(ctx, list, client.InNamespace(s.Namespace), client.MatchingLabels(s.Labels(role))); err != nil {
			return fmt.Errorf("list the configurations: %w", err)
		}
		for i := range list.Items {
			item := &list.Items[i]
			item.SetGroupVersionKind(configMapKind)
			if keep[item.Name] || !metav1.IsControlledBy(item, s.DownstreamNode) {
				continue
			}
			if err := r.delete(ctx, item); err != nil {
				return err
			}
		}
	}
	return nil
}
