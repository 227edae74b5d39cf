package desired

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/driveshare/downstream-node/api/v1"
)

// unprivileged is the user ID of the pods that run the node's image.
const unprivileged = 65532

// podTemplate builds the pod of a role with one container of the node's image.
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

// podSpec builds the common part of every pod: it meets the restricted pod
// security standard, has no access to the API server, and gets no environment
// variables for the Services of its namespace. On OpenShift, it also meets restricted-v2,
// which sets the user and the groups.
func (n *Node) podSpec(user int64) *corev1ac.PodSpecApplyConfiguration {
	security := corev1ac.PodSecurityContext().
		WithRunAsNonRoot(true).
		WithSeccompProfile(corev1ac.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault))
	if !n.openShift() {
		security.WithRunAsUser(user).WithRunAsGroup(user).WithFSGroup(user)
	}
	spec := corev1ac.PodSpec().
		WithAutomountServiceAccountToken(false).
		WithEnableServiceLinks(false).
		WithSecurityContext(security)
	for _, ref := range n.Spec.ImagePullSecrets {
		spec.WithImagePullSecrets(corev1ac.LocalObjectReference().WithName(ref.Name))
	}
	return spec
}

// container runs the node's image with arguments and the configuration file.
func (n *Node) container(role Role, args ...string) *corev1ac.ContainerApplyConfiguration {
	return corev1ac.Container().
		WithName(string(role)).
		WithImage(n.image()).
		WithImagePullPolicy(n.Spec.ImagePullPolicy).
		WithCommand(Program).
		WithArgs(withConfig(args)...).
		WithSecurityContext(confined()).
		// The operator shows the last line of a failed Job.
		WithTerminationMessagePolicy(corev1.TerminationMessageFallbackToLogsOnError)
}

// Program is the node program in its image.
const Program = "/downstream-node"

// Command is a command of the node program for a container of the operator's pods. It
// reads the configuration of the container's role.
func Command(args ...string) []string { return append([]string{Program}, withConfig(args)...) }

func withConfig(args []string) []string {
	return append(args, "--config", path.Join(configDir, configFile))
}

// confined restricts a container so that it can write only to its volumes.
func confined() *corev1ac.SecurityContextApplyConfiguration {
	return corev1ac.SecurityContext().
		WithAllowPrivilegeEscalation(false).
		WithReadOnlyRootFilesystem(true).
		WithCapabilities(corev1ac.Capabilities().WithDrop("ALL"))
}

// filesVolume puts all files that a role reads into one directory.
func (n *Node) filesVolume(role Role) *corev1ac.VolumeApplyConfiguration {
	sources := []*corev1ac.VolumeProjectionApplyConfiguration{configMapFile(n.ConfigName(role), configFile, configFile)}
	mysql := n.MySQLFiles()
	if role == API {
		mysql = append(mysql, n.ReplicaFiles()...)
	}
	for _, f := range mysql {
		sources = append(sources, secretFile(f.Secret, f.Key, path.Join(mysqlDir, f.Name)))
	}
	if usesRedis(role) {
		for _, f := range n.RedisFiles() {
			sources = append(sources, secretFile(f.Secret, f.Key, path.Join(redisDir, f.Name)))
		}
	}
	if role == Backup {
		sources = append(sources, configMapFile(n.ConfigName(role), resourceFile, resourceFile))
	}
	switch role {
	case Whitelist:
		ref := n.Spec.Whitelist.ConfigMapRef
		sources = append(sources, configMapFile(ref.Name, ref.Key, whitelistFile))
	case Maintenance:
	default:
		for _, k := range n.Inputs.Keys {
			secret, key := n.KeySecret(k.Rotation)
			sources = append(sources, secretFile(secret, key, keyFile(k.Rotation)))
		}
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

// probe requests a path on the private port.
func probe(path string) *corev1ac.ProbeApplyConfiguration {
	return corev1ac.Probe().WithHTTPGet(corev1ac.HTTPGetAction().WithPath(path).WithPort(intstr.FromString("private")))
}

func resources(r v1.Resources) *corev1ac.ResourceRequirementsApplyConfiguration {
	out := corev1ac.ResourceRequirements()
	if len(r.Requests) > 0 {
		out.WithRequests(r.Requests)
	}
	if len(r.Limits) > 0 {
		out.WithLimits(r.Limits)
	}
	return out
}

// spread returns the rules that distribute the pods of a role over the cluster. The default
// counts the pods of one template only. Otherwise a rollout would place the new pods beside the old
// ones, and the old ones that end would leave an uneven rest.
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
			WithLabelSelector(n.selector(role)).
			WithMatchLabelKeys(appsv1.DefaultDeploymentUniqueLabelKey))
	}
	return constraints
}

// texts converts a map to plain strings. The result is never nil.
func texts[T ~string](m map[string]T) map[string]string {
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[k] = string(v)
	}
	return out
}

// converted turns API types into apply configurations, which have the same JSON.
func converted[To, From any](from []From) []*To {
	out := make([]*To, len(from))
	for i := range from {
		text, err := json.Marshal(from[i])
		if err == nil {
			out[i] = new(To)
			err = json.Unmarshal(text, out[i])
		}
		if err != nil {
			panic(fmt.Sprintf("desired: convert %T: %v", from[i], err)) // impossible: both have the same JSON
		}
	}
	return out
}
