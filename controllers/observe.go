package controllers

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/controllers/desired"
)

// observe computes the status from the objects on the cluster. If no work is in
// progress, it also deletes unused ConfigMaps.
func (r *Reconciler) observe(ctx context.Context, s *scope) error {
	var err error
	if s.facts.api, err = r.readPool(ctx, s, desired.API); err != nil {
		return err
	}
	if s.facts.workers, err = r.readPool(ctx, s, desired.Workers); err != nil {
		return err
	}
	if s.facts.mysql, err = r.readEvaluation(ctx, s, desired.MySQL, s.Spec.MySQL.Evaluation != nil && !s.Hibernated); err != nil {
		return err
	}
	if s.facts.redis, err = r.readEvaluation(ctx, s, desired.Redis, s.Spec.Redis.Evaluation != nil && !s.Hibernated); err != nil {
		return err
	}
	if err := r.readBackup(ctx, s); err != nil {
		return err
	}
	s.status.API.Replicas, s.status.API.ReadyReplicas = s.facts.api.running, s.facts.api.ready
	s.status.Workers.Replicas, s.status.Workers.ReadyReplicas = s.facts.workers.running, s.facts.workers.ready
	s.status.Workers.Selector = labels.SelectorFromSet(s.Selector(desired.Workers)).String()
	service, err := r.lookUp(ctx, s, serviceKind, s.ObjectName(desired.API))
	if err != nil {
		return err
	}
	if service == nil { // the cache may be stale
		if service, err = metadata(ctx, r.Live, s, serviceKind, s.ObjectName(desired.API)); err != nil {
			return err
		}
	}
	s.facts.noService = service == nil
	s.facts.faults = r.readFaults(ctx, s)
	s.setKeyStates(s.facts.faults.keys)
	if s.facts.key != nil {
		s.facts.key.progress = s.rotationProgress()
	}
	if s.status.URL, err = r.url(ctx, s); err != nil {
		return err
	}
	switch {
	case s.facts.unfinished != "":
		s.facts.outdated = s.status.ObservedGeneration < s.Generation
	case s.facts.api.unread || s.facts.workers.unread:
		s.facts.unfinished = "Kubernetes has not read a changed Deployment yet"
	default:
		s.status.ObservedGeneration = s.Generation
	}
	setConditions(&s.status.Conditions, s.facts, s.status.ObservedGeneration)
	if s.facts.paused || s.facts.blocked != nil || s.facts.unfinished != "" || !s.facts.api.settled || !s.facts.workers.settled || s.facts.migration.phase != jobComplete {
		return nil
	}
	return r.pruneConfigs(ctx, s)
}

// readPool reads the state of a Deployment. If the Deployment has not settled,
// readPool looks for the cause in the pods.
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
	if err != nil {
		return p, err
	}
	p.trouble, err = r.podsTrouble(ctx, s, pods)
	p.reports, p.unasked = r.askPods(ctx, pods)
	return p, err
}

// completeRollout is the reason of a Deployment's condition Progressing after a rollout. It
// stays while pods fail or their number changes, until the next template.
const completeRollout = "NewReplicaSetAvailable"

// poolOf reads a Deployment's status. d is nil if there is no Deployment.
func poolOf(d *appsv1.Deployment) pool {
	if d == nil {
		return pool{}
	}
	p := pool{
		found:     true,
		desired:   ptr.Deref(d.Spec.Replicas, 1),
		running:   d.Status.Replicas,
		ready:     d.Status.ReadyReplicas,
		available: d.Status.AvailableReplicas,
	}
	p.unread = d.Status.ObservedGeneration < d.Generation
	p.settled = !p.unread &&
		d.Status.UpdatedReplicas == p.desired && d.Status.Replicas == p.desired && d.Status.AvailableReplicas == p.desired
	p.rolledOut = p.settled
	refused := ""
	for _, c := range d.Status.Conditions {
		switch {
		case c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue:
			refused = excerpt(c.Message) + "." // for example, a quota is exhausted
		case c.Type != appsv1.DeploymentProgressing || p.unread:
		case c.Status == corev1.ConditionFalse:
			p.stalled = c.Message
		case c.Reason == completeRollout && d.Status.UpdatedReplicas == d.Status.Replicas:
			p.rolledOut = true
		}
	}
	p.stalled = cmp.Or(refused, p.stalled)
	return p
}

// url returns the address at which farmers reach the API.
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
	if s.facts.noService {
		return "", nil
	}
	name := s.ObjectName(desired.API)
	host := fmt.Sprintf("%s.%s.svc", name, s.Namespace)
	if s.Spec.API.Service.Type == corev1.ServiceTypeLoadBalancer {
		service, err := find(ctx, r.Live, s, "Service", name, &corev1.Service{})
		if service == nil || err != nil {
			return "", err
		}
		for _, in := range service.Status.LoadBalancer.Ingress {
			if in.Hostname != "" {
				host = in.Hostname
			} else if in.IP != "" {
				host = in.IP
			}
		}
	}
	if port := s.Spec.API.Service.Port; port != 80 {
		host = net.JoinHostPort(host, strconv.Itoa(int(port)))
	} else if strings.Contains(host, ":") {
		host = "[" + host + "]" // an IPv6 address
	}
	return "http://" + host, nil
}

// pruneConfigs deletes the ConfigMaps that no pod uses. The caller must make
// sure that every pod of a Deployment has the newest template. A Job of a backup can have an
// older one, and may start another pod.
func (r *Reconciler) pruneConfigs(ctx context.Context, s *scope) error {
	keep := map[string]bool{}
	roles := []desired.Role{desired.API, desired.Workers, desired.Migration, desired.Whitelist, desired.Maintenance, desired.Backup}
	for _, role := range roles {
		keep[s.ConfigName(role)] = true
	}
	jobs := &batchv1.JobList{}
	if err := r.Live.List(ctx, jobs, client.InNamespace(s.Namespace), client.MatchingLabels(s.Selector(desired.Backup))); err != nil {
		return fmt.Errorf("list the Jobs of backups: %w", err)
	}
	for i := range jobs.Items {
		if stateOf(&jobs.Items[i]).phase != jobRunning {
			continue
		}
		for _, v := range jobs.Items[i].Spec.Template.Spec.Volumes {
			if v.ConfigMap != nil {
				keep[v.ConfigMap.Name] = true
			}
		}
	}
	for _, role := range roles {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(configMapKind)
		if err := r.Client.List(ctx, list, client.InNamespace(s.Namespace), client.MatchingLabels(s.Labels(role))); err != nil {
			return fmt.Errorf("list the ConfigMaps of the %s: %w", role, err)
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
