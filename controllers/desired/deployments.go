package desired

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
)

// stopMargin is what a pod gets to stop beyond the time that it gives itself,
// in seconds, so that it is never killed while it still counts.
const stopMargin = 10

// APIDeployment runs the API. Without replicas, their number is left to
// whoever else sets it.
func (n *Node) APIDeployment(replicas *int32) *appsv1ac.DeploymentApplyConfiguration {
	container := n.container(API, "api").
		WithResources(resources(n.Spec.API.Resources)).
		WithPorts(
			corev1ac.ContainerPort().WithName("farmers").WithContainerPort(farmersPort).WithProtocol(corev1.ProtocolTCP),
			corev1ac.ContainerPort().WithName("private").WithContainerPort(privatePort).WithProtocol(corev1.ProtocolTCP),
		)
	onVolume := n.Spec.GeoIP != nil && n.Spec.GeoIP.VolumeClaim != nil
	if onVolume {
		container.WithVolumeMounts(corev1ac.VolumeMount().WithName("geoip").WithMountPath(geoVolumeDir).WithReadOnly(true))
	}
	deployment := n.deployment(API, replicas, container)
	pod := deployment.Spec.Template.Spec
	pod.WithTerminationGracePeriodSeconds(int64(deref(n.Spec.API.DrainDelaySeconds, 0)) + int64(n.Spec.API.ShutdownTimeoutSeconds) + stopMargin)
	if onVolume {
		pod.WithVolumes(corev1ac.Volume().WithName("geoip").WithPersistentVolumeClaim(
			corev1ac.PersistentVolumeClaimVolumeSource().WithClaimName(n.Spec.GeoIP.VolumeClaim.ClaimName).WithReadOnly(true)))
	}
	// No replica goes before another has come in its place.
	deployment.Spec.WithStrategy(rolling(intstr.FromInt32(0), intstr.FromString("25%")))
	return deployment
}

// WorkersDeployment runs the workers.
func (n *Node) WorkersDeployment(replicas int32) *appsv1ac.DeploymentApplyConfiguration {
	container := n.container(Workers, "worker").
		WithResources(resources(n.Spec.Workers.Resources)).
		WithPorts(corev1ac.ContainerPort().WithName("private").WithContainerPort(privatePort).WithProtocol(corev1.ProtocolTCP))
	deployment := n.deployment(Workers, &replicas, container)
	deployment.Spec.Template.Spec.WithTerminationGracePeriodSeconds(int64(n.Spec.Workers.DrainTimeoutSeconds) + stopMargin)
	deployment.Spec.WithStrategy(rolling(intstr.FromString("25%"), intstr.FromString("25%")))
	return deployment
}

func (n *Node) deployment(role Role, replicas *int32, container *corev1ac.ContainerApplyConfiguration) *appsv1ac.DeploymentApplyConfiguration {
	container.
		// A slow start, as of a first connection to MySQL, is no reason to kill.
		WithStartupProbe(probe("/healthz").WithPeriodSeconds(2).WithFailureThreshold(60)).
		WithLivenessProbe(probe("/healthz").WithPeriodSeconds(10).WithTimeoutSeconds(5).WithFailureThreshold(6)).
		WithReadinessProbe(probe("/readyz").WithPeriodSeconds(2).WithTimeoutSeconds(2).WithFailureThreshold(2))
	template := n.podTemplate(role, container).
		WithLabels(map[string]string{labelMetrics: "true"}).
		WithAnnotations(map[string]string{annotationConfigHash: n.configHash(role)})
	template.Spec.WithTopologySpreadConstraints(n.spread(role)...)
	if class := n.Spec.Pods.PriorityClassName; class != "" {
		template.Spec.WithPriorityClassName(class)
	}
	spec := appsv1ac.DeploymentSpec().
		WithSelector(n.selector(role)).
		WithRevisionHistoryLimit(3).
		WithProgressDeadlineSeconds(600).
		WithTemplate(template)
	if replicas != nil {
		spec.WithReplicas(*replicas)
	}
	return appsv1ac.Deployment(n.ObjectName(role), n.Namespace).
		WithLabels(n.Labels(role)).
		WithOwnerReferences(n.owner()).
		WithSpec(spec)
}

func rolling(maxUnavailable, maxSurge intstr.IntOrString) *appsv1ac.DeploymentStrategyApplyConfiguration {
	return appsv1ac.DeploymentStrategy().
		WithType(appsv1.RollingUpdateDeploymentStrategyType).
		WithRollingUpdate(appsv1ac.RollingUpdateDeployment().WithMaxUnavailable(maxUnavailable).WithMaxSurge(maxSurge))
}
