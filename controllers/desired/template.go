package desired

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	kjson "sigs.k8s.io/json"

	"github.com/driveshare/downstream-node/internal/config"
)

// The pod templates of the spec are merged into the pods that the operator builds.
//
// The CRD stores them without a schema: a full schema is larger than the rest of the CRD,
// and would be that of one Kubernetes version. The Go type keeps them as JSON: the operator
// could not read any node if one node had a template of the wrong form.
//
// The template wins, with one exception: it must not change what the rest of the node
// depends on (see [templateProblems]). Such a template is an error. It is not corrected,
// because its author must learn that it has no effect.

// jobContainer stands for the operator's container in the pod template of the Jobs.
const jobContainer = "job"

// podTemplateOf returns the pod template in the spec for a role, or nil if there is none.
// It also returns the path of its field, and the name of the operator's container in it.
func (n *Node) podTemplateOf(role Role) (template []byte, field, container string) {
	var raw *runtime.RawExtension
	switch role {
	case API:
		raw, field, container = n.Spec.API.PodTemplate, "spec.api.podTemplate", string(API)
	case Workers:
		raw, field, container = n.Spec.Workers.PodTemplate, "spec.workers.podTemplate", string(Workers)
	default:
		raw, field, container = n.Spec.Jobs.PodTemplate, "spec.jobs.podTemplate", jobContainer
	}
	if raw != nil && string(raw.Raw) != "{}" && string(raw.Raw) != "null" {
		template = raw.Raw
	}
	return template, field, container
}

// CheckPodTemplates returns an error if a pod template in the spec is wrong. The builders
// of Deployments and Jobs need correct templates.
func (n *Node) CheckPodTemplates() error {
	pods := map[Role]func() *corev1ac.PodTemplateSpecApplyConfiguration{
		API: n.apiPod, Workers: n.workersPod, Migration: n.migrationPod, Maintenance: n.maintenancePod,
	}
	if n.Spec.Whitelist != nil {
		pods[Whitelist] = n.whitelistPod
	}
	if n.Spec.Backup != nil {
		pods[Backup] = n.backupPod
	}
	for _, role := range slices.Sorted(maps.Keys(pods)) {
		if _, err := n.merge(role, pods[role]()); err != nil {
			return err
		}
	}
	return nil
}

// customized returns the pod with the pod template of the spec merged into it.
func (n *Node) customized(role Role, pod *corev1ac.PodTemplateSpecApplyConfiguration) *corev1ac.PodTemplateSpecApplyConfiguration {
	merged, err := n.merge(role, pod)
	if err != nil {
		panic(fmt.Sprintf("desired: %v", err)) // impossible after CheckPodTemplates
	}
	return merged
}

// merge is customized for a template that may be wrong.
func (n *Node) merge(role Role, pod *corev1ac.PodTemplateSpecApplyConfiguration) (*corev1ac.PodTemplateSpecApplyConfiguration, error) {
	template, field, name := n.podTemplateOf(role)
	if template == nil {
		return pod, nil
	}
	// Strict reading also refuses the directives of strategic merge, such as $patch.
	unknown, err := kjson.UnmarshalStrict(template, new(corev1.PodTemplateSpec))
	if err = errors.Join(append(unknown, err)...); err != nil {
		return nil, fmt.Errorf("%s is not a pod template: %s; see `kubectl explain deployment.spec.template`", field, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	pod.Spec.Containers[0].WithName(name)
	built, err := json.Marshal(pod)
	if err != nil {
		return nil, fmt.Errorf("marshal the pod of %s: %w", role, err)
	}
	merged, err := strategicpatch.StrategicMergePatch(built, template, corev1.PodTemplateSpec{})
	if err != nil {
		return nil, fmt.Errorf("%s cannot be merged: %w", field, err)
	}
	var before, after corev1.PodTemplateSpec
	out := new(corev1ac.PodTemplateSpecApplyConfiguration)
	if err := errors.Join(json.Unmarshal(built, &before), json.Unmarshal(merged, &after), json.Unmarshal(merged, out)); err != nil {
		return nil, fmt.Errorf("%s cannot be merged: %w", field, err)
	}
	guarded := n.variables(role)
	if problems := templateProblems(before, after, guarded); len(problems) > 0 {
		return nil, fmt.Errorf("%s: %s", field, strings.Join(problems, "; "))
	}
	// The operator's container comes first: kubectl logs shows it, and Services find its
	// ports before a sidecar's ports of the same names.
	containers := out.Spec.Containers
	i := slices.IndexFunc(containers, func(c corev1ac.ContainerApplyConfiguration) bool { return *c.Name == name })
	main := containers[i]
	out.Spec.Containers = slices.Insert(slices.Delete(containers, i, i+1), 0, *main.WithName(string(role)))
	if len(main.EnvFrom) > 0 {
		// The operator does not know what envFrom adds. A variable in env takes
		// precedence over it, and the node ignores an empty variable.
		for _, variable := range guarded {
			out.Spec.Containers[0].WithEnv(corev1ac.EnvVar().WithName(variable))
		}
	}
	return out, nil
}

// templateProblems lists the changes of a template that are not permitted. before is the
// operator's pod, and its only container is the operator's. after has the template merged
// into it. The template must not set the guarded environment variables.
func templateProblems(before, after corev1.PodTemplateSpec, guarded []string) (problems []string) {
	add := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	keep := func(field string, was, is any, advice string) {
		if !reflect.ValueOf(was).IsZero() && !equality.Semantic.DeepEqual(was, is) {
			add("the operator sets %s itself: %s", field, advice)
		}
	}
	const leave = "leave it out of the template"
	keep("restartPolicy", before.Spec.RestartPolicy, after.Spec.RestartPolicy, leave)
	keep("terminationGracePeriodSeconds", before.Spec.TerminationGracePeriodSeconds, after.Spec.TerminationGracePeriodSeconds,
		"set the timeouts of spec.api or spec.workers instead")
	for _, v := range before.Spec.Volumes {
		keep("the volume "+v.Name, v, find(after.Spec.Volumes, func(o corev1.Volume) bool { return o.Name == v.Name }), "use another name")
	}

	for _, c := range before.Spec.InitContainers {
		keep("the init container "+c.Name, c, find(after.Spec.InitContainers, func(o corev1.Container) bool { return o.Name == c.Name }), "use another name")
	}

	was := before.Spec.Containers[0]
	is := find(after.Spec.Containers, func(c corev1.Container) bool { return c.Name == was.Name })
	keep("image", was.Image, is.Image, "set spec.image instead")
	keep("command", was.Command, is.Command, leave)
	keep("args", was.Args, is.Args, leave)
	keep("startupProbe", was.StartupProbe, is.StartupProbe, leave)
	keep("livenessProbe", was.LivenessProbe, is.LivenessProbe, leave)
	keep("readinessProbe", was.ReadinessProbe, is.ReadinessProbe, leave)
	keep("terminationMessagePolicy", was.TerminationMessagePolicy, is.TerminationMessagePolicy, leave)
	for _, p := range was.Ports {
		keep("the port "+p.Name, p, find(is.Ports, func(o corev1.ContainerPort) bool { return o.ContainerPort == p.ContainerPort }), leave)
	}
	for _, e := range was.Env {
		keep("the variable "+e.Name, e, find(is.Env, func(o corev1.EnvVar) bool { return o.Name == e.Name }), leave)
	}
	for _, e := range is.Env {
		if slices.Contains(guarded, e.Name) {
			add("the variable %s would override the spec: set the field of the spec instead", e.Name)
		}
	}
	for _, m := range was.VolumeMounts {
		keep("the volumeMount "+m.MountPath, m, find(is.VolumeMounts, func(o corev1.VolumeMount) bool { return o.MountPath == m.MountPath }), "use another mountPath")
		for _, o := range is.VolumeMounts {
			if o.MountPath != m.MountPath && strings.HasPrefix(path.Clean(o.MountPath)+"/", m.MountPath+"/") {
				add("the mountPath %s is in %s, where the operator's files are: use another one", o.MountPath, m.MountPath)
			}
		}
	}

	for _, c := range slices.Concat(after.Spec.Containers, after.Spec.InitContainers) {
		if c.Image == "" {
			add("the container %q has no image: set it, or use the name %s for the operator's container", c.Name, was.Name)
		}
	}
	if len(after.Spec.Containers) > 1 && was.Name == jobContainer {
		add("a Job ends only if all its containers end: make each sidecar an init container with restartPolicy Always")
	}
	if !maps.Equal(reserved(before.Labels, "app.kubernetes.io/", prefix), reserved(after.Labels, "app.kubernetes.io/", prefix)) {
		add("the operator sets the labels that begin with app.kubernetes.io/ or %s itself: %s", prefix, leave)
	}
	if !maps.Equal(reserved(before.Annotations, prefix), reserved(after.Annotations, prefix)) {
		add("the operator sets the annotations that begin with %s itself: %s", prefix, leave)
	}
	after.Labels, after.Annotations = before.Labels, before.Annotations
	if !equality.Semantic.DeepEqual(before.ObjectMeta, after.ObjectMeta) {
		add("metadata may have labels and annotations only")
	}
	return problems
}

// find returns the first element for which matches is true, or the zero value.
func find[T any](list []T, matches func(T) bool) (found T) {
	if i := slices.IndexFunc(list, matches); i >= 0 {
		found = list[i]
	}
	return found
}

// reserved returns the labels or annotations that begin with one of the prefixes.
func reserved(all map[string]string, prefixes ...string) map[string]string {
	out := maps.Clone(all)
	maps.DeleteFunc(out, func(name, _ string) bool {
		return !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
	})
	return out
}

// variables lists the environment variables that would override the configuration file of
// a role. If the file names a file with a secret, that includes the variable of the secret.
func (n *Node) variables(role Role) (names []string) {
	var walk func(prefix string, s section)
	walk = func(prefix string, s section) {
		for key, value := range s {
			if below, ok := value.(section); ok {
				walk(prefix+key+".", below)
				continue
			}
			names = append(names, config.EnvName(prefix+key))
			if secret, ok := strings.CutSuffix(key, "File"); ok {
				names = append(names, config.EnvName(prefix+secret))
			}
		}
	}
	walk("", n.config(role))
	slices.Sort(names)
	return names
}
