package desired

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/driveshare/downstream-node/api/v1alpha1"
)

// unprivileged is the user that every pod of the node runs as.
const unprivileged = 65532

// podTemplate is the pod of a role, around one container of the node's image.
func (n *Node) podTemplate(role Role, container *corev1ac.ContainerApplyConfiguration) *corev1ac.PodTemplateSpecApplyConfiguration {
	pods := n.Spec.Pods
	labels := texts(pods.Labels)
	maps.Copy(labels, n.Selector(role))
	spec := n.podSpec(unprivileged).
		WithContainers(container.WithVolumeMounts(corev1ac.VolumeMount().WithName("downstream").WithMountPath(configDir).WithReadOnly(true))).
		WithVolumes(n.filesVolume(role)).
		WithNodeSelector(texts(pods.NodeSelector)).
		WithTolerations(converted[corev1ac.TolerationApplyConfiguration](pods.Tolerations)...)
	if pods.Affinity != nil {
		spec.WithAffinity(converted[corev1ac.AffinityApplyConfiguration]([]corev1.Affinity{*pods.Affinity})[0])
	}
	template := corev1ac.PodTemplateSpec().WithLabels(labels).WithSpec(spec)
	if len(pods.Annotations) > 0 {
		template.WithAnnotations(texts(pods.Annotations))
	}
	return template
}

// podSpec is what every pod has in common: it meets the restricted pod
// security standard, has no access to the API server, and is not told about
// the Services of its namespace.
func (n *Node) podSpec(user int64) *corev1ac.PodSpecApplyConfiguration {
	spec := corev1ac.PodSpec().
		WithAutomountServiceAccountToken(false).
		WithEnableServiceLinks(false).
		WithSecurityContext(corev1ac.PodSecurityContext().
			WithRunAsNonRoot(true).
			WithRunAsUser(user).
			WithRunAsGroup(user).
			WithFSGroup(user).
			WithSeccompProfile(corev1ac.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault)))
	for _, ref := range n.Spec.ImagePullSecrets {
		spec.WithImagePullSecrets(corev1ac.LocalObjectReference().WithName(ref.Name))
	}
	return spec
}

// container runs the node's image with args and the configuration.
func (n *Node) container(role Role, args ...string) *corev1ac.ContainerApplyConfiguration {
	return corev1ac.Container().
		WithName(string(role)).
		WithImage(n.image()).
		WithImagePullPolicy(n.Spec.ImagePullPolicy).
		WithCommand("/downstream-node").
		WithArgs(append(args, "--config", path.Join(configDir, configFile))...).
		WithSecurityContext(confined()).
		// What a process says last is what the operator tells of a failed Job.
		WithTerminationMessagePolicy(corev1.TerminationMessageFallbackToLogsOnError)
}

// confined is a container that can write nowhere but to its volumes.
func confined() *corev1ac.SecurityContextApplyConfiguration {
	return corev1ac.SecurityContext().
		WithAllowPrivilegeEscalation(false).
		WithReadOnlyRootFilesystem(true).
		WithCapabilities(corev1ac.Capabilities().WithDrop("ALL"))
}

// filesVolume brings everything that a role reads into one folder.
func (n *Node) filesVolume(role Role) *corev1ac.VolumeApplyConfiguration {
	dsnSecret, dsnKey := n.DSNSecret()
	sources := []*corev1ac.VolumeProjectionApplyConfiguration{
		configMapFile(n.ConfigName(role), configFile, configFile),
		secretFile(dsnSecret, dsnKey, dsnFile),
	}
	if role != Migration {
		secret, key := n.RedisSecret()
		sources = append(sources, secretFile(secret, key, redisFile))
	}
	if role != Whitelist {
		secret, key := n.KeySecret()
		sources = append(sources, secretFile(secret, key, keyFile))
	}
	if role == Whitelist {
		ref := n.Spec.Whitelist.ConfigMapRef
		sources = append(sources, configMapFile(ref.Name, ref.Key, whitelistFile))
	}
	if g := n.Spec.GeoIP; role == API && g != nil {
		switch {
		case g.SecretRef != nil:
			sources = append(sources, secretFile(g.SecretRef.Name, g.SecretRef.Key, geoFile))
		case g.ConfigMapRef != nil:
			sources = append(sources, configMapFile(g.ConfigMapRef.Name, g.ConfigMapRef.Key, geoFile))
		}
	}
	return corev1ac.Volume().WithName("downstream").WithProjected(
		corev1ac.ProjectedVolumeSource().WithDefaultMode(0o440).WithSources(sources...))
}

func secretFile(name, key, file string) *corev1ac.VolumeProjectionApplyConfiguration {
	return corev1ac.VolumeProjection().WithSecret(corev1ac.SecretProjection().
		WithName(name).WithItems(corev1ac.KeyToPath().WithKey(key).WithPath(file)))
}

func configMapFile(name, key, file string) *corev1ac.VolumeProjectionApplyConfiguration {
	return corev1ac.VolumeProjection().WithConfigMap(corev1ac.ConfigMapProjection().
		WithName(name).WithItems(corev1ac.KeyToPath().WithKey(key).WithPath(file)))
}

// probe asks the private port.
func probe(path string) *corev1ac.ProbeApplyConfiguration {
	return corev1ac.Probe().WithHTTPGet(corev1ac.HTTPGetAction().WithPath(path).WithPort(intstr.FromString("private")))
}

func resources(r v1alpha1.Resources) *corev1ac.ResourceRequirementsApplyConfiguration {
	out := corev1ac.ResourceRequirements()
	if len(r.Requests) > 0 {
		out.WithRequests(r.Requests)
	}
	if len(r.Limits) > 0 {
		out.WithLimits(r.Limits)
	}
	return out
}

// spread is how the pods of a role are spread over the cluster.
func (n *Node) spread(role Role) []*corev1ac.TopologySpreadConstraintApplyConfiguration {
	if own := n.Spec.Pods.TopologySpreadConstraints; len(own) > 0 {
		constraints := converted[corev1ac.TopologySpreadConstraintApplyConfiguration](own)
		for _, c := range constraints {
			if c.LabelSelector == nil {
				c.WithLabelSelector(n.selector(role))
			}
		}
		return constraints
	}
	var constraints []*corev1ac.TopologySpreadConstraintApplyConfiguration
	for _, key := range []string{corev1.LabelHostname, corev1.LabelTopologyZone} {
		constraints = append(constraints, corev1ac.TopologySpreadConstraint().
			WithMaxSkew(1).
			WithTopologyKey(key).
			WithWhenUnsatisfiable(corev1.ScheduleAnyway).
			WithLabelSelector(n.selector(role)))
	}
	return constraints
}

// texts makes a map of plain strings, which is never nil.
func texts[T ~string](m map[string]T) map[string]string {
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[k] = string(v)
	}
	return out
}

// converted turns what users wrote into apply configurations, whose JSON is
// the same.
func converted[To, From any](from []From) []*To {
	out := make([]*To, len(from))
	for i := range from {
		text, err := json.Marshal(from[i])
		if err == nil {
			out[i] = new(To)
			err = json.Unmarshal(text, out[i])
		}
		if err != nil {
			panic(fmt.Sprintf("desired: convert %T: %v", from[i], err)) // not possible: both have the JSON form of one API type
		}
	}
	return out
}

// selectorOf selects the pods of any of the roles.
func (n *Node) selectorOf(roles ...Role) *metav1ac.LabelSelectorApplyConfiguration {
	requirement := metav1ac.LabelSelectorRequirement().WithKey(labelComponent).WithOperator("In")
	for _, role := range roles {
		requirement.WithValues(string(role))
	}
	return metav1ac.LabelSelector().
		WithMatchLabels(map[string]string{labelName: appName, labelInstance: n.Name}).
		WithMatchExpressions(requirement)
}
