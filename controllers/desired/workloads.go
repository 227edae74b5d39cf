package desired

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	batchv1ac "k8s.io/client-go/applyconfigurations/batch/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/utils/ptr"

	"github.com/driveshare/downstream-node/internal/program"
)

// stopMargin is the time, in seconds, between the end of a pod's own shutdown timeouts
// and the moment when the kubelet kills the pod.
const stopMargin = 10

// APIDeployment runs the API. If replicas is nil, another field manager sets the
// number.
func (n *Node) APIDeployment(replicas *int32) *appsv1ac.DeploymentApplyConfiguration {
	deployment := n.deployment(API, replicas, n.apiPod())
	// A replica stops only after its replacement is ready.
	deployment.Spec.WithStrategy(rolling(intstr.FromInt32(0), intstr.FromString("25%")))
	return deployment
}

func (n *Node) apiPod() *corev1ac.PodTemplateSpecApplyConfiguration {
	container := n.container(API, "api").
		WithResources(resources(n.Spec.API.Resources)).
		WithPorts(containerPort("farmers", farmersPort), containerPort("private", PrivatePort))
	onVolume := n.Spec.GeoIP != nil && n.Spec.GeoIP.VolumeClaim != nil
	if onVolume {
		container.WithVolumeMounts(corev1ac.VolumeMount().WithName("geoip").WithMountPath(geoVolumeDir).WithReadOnly(true))
	}
	pod := n.servingPod(API, container)
	pod.Spec.WithTerminationGracePeriodSeconds(n.apiGraceSeconds())
	if onVolume {
		pod.Spec.WithVolumes(corev1ac.Volume().WithName("geoip").WithPersistentVolumeClaim(
			corev1ac.PersistentVolumeClaimVolumeSource().WithClaimName(n.Spec.GeoIP.VolumeClaim.ClaimName).WithReadOnly(true)))
	}
	return pod
}

// WorkersDeployment runs the workers.
func (n *Node) WorkersDeployment(replicas int32) *appsv1ac.DeploymentApplyConfiguration {
	deployment := n.deployment(Workers, &replicas, n.workersPod())
	deployment.Spec.WithStrategy(rolling(intstr.FromString("25%"), intstr.FromString("25%")))
	return deployment
}

func (n *Node) workersPod() *corev1ac.PodTemplateSpecApplyConfiguration {
	pod := n.servingPod(Workers, n.container(Workers, "worker").
		WithResources(resources(n.Spec.Workers.Resources)).
		WithPorts(containerPort("private", PrivatePort)))
	pod.Spec.WithTerminationGracePeriodSeconds(n.workersGraceSeconds())
	return pod
}

// apiGraceSeconds is the time that an API replica may take to end.
func (n *Node) apiGraceSeconds() int64 {
	return int64(ptr.Deref(n.Spec.API.DrainDelaySeconds, 0)) + int64(n.Spec.API.ShutdownTimeoutSeconds) + stopMargin
}

// workersGraceSeconds is the time that a worker may take to end.
func (n *Node) workersGraceSeconds() int64 {
	return int64(n.Spec.Workers.DrainTimeoutSeconds) + stopMargin
}

// servingPod builds the common part of the pods of the API and of the workers.
func (n *Node) servingPod(role Role, container *corev1ac.ContainerApplyConfiguration) *corev1ac.PodTemplateSpecApplyConfiguration {
	container.
		// A start may be slow, for example if MySQL does not accept connections yet.
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
	return template
}

func (n *Node) deployment(role Role, replicas *int32, pod *corev1ac.PodTemplateSpecApplyConfiguration) *appsv1ac.DeploymentApplyConfiguration {
	spec := appsv1ac.DeploymentSpec().
		WithSelector(n.selector(role)).
		WithRevisionHistoryLimit(3).
		WithProgressDeadlineSeconds(600).
		WithTemplate(n.customized(role, pod))
	if replicas != nil {
		spec.WithReplicas(*replicas)
	}
	return owned(n, role, appsv1ac.Deployment(n.ObjectName(role), n.Namespace)).WithSpec(spec)
}

func containerPort(name string, number int32) *corev1ac.ContainerPortApplyConfiguration {
	return corev1ac.ContainerPort().WithName(name).WithContainerPort(number).WithProtocol(corev1.ProtocolTCP)
}

func rolling(maxUnavailable, maxSurge intstr.IntOrString) *appsv1ac.DeploymentStrategyApplyConfiguration {
	return appsv1ac.DeploymentStrategy().
		WithType(appsv1.RollingUpdateDeploymentStrategyType).
		WithRollingUpdate(appsv1ac.RollingUpdateDeployment().WithMaxUnavailable(maxUnavailable).WithMaxSurge(maxSurge))
}

// MigrationJob migrates the database to the schema of the image. If the database
// belongs to another node or has another heartbeat key, the Job fails without a retry.
func (n *Node) MigrationJob() *batchv1ac.JobApplyConfiguration {
	job := n.job(Migration, n.MigrationName(), n.migrationPod())
	job.Spec.WithPodFailurePolicy(batchv1ac.PodFailurePolicy().WithRules(batchv1ac.PodFailurePolicyRule().
		WithAction(batchv1.PodFailurePolicyActionFailJob).
		WithOnExitCodes(batchv1ac.PodFailurePolicyOnExitCodesRequirement().
			WithContainerName(string(Migration)).
			WithOperator(batchv1.PodFailurePolicyOnExitCodesOpIn).
			WithValues(program.ExitOtherKey, program.ExitOtherOwner))))
	return job
}

// migrationPod gives the UID in a variable of the environment and not in a key of the
// configuration, because older images refuse a key that they do not know.
func (n *Node) migrationPod() *corev1ac.PodTemplateSpecApplyConfiguration {
	pod := n.jobPod(Migration, "db", "migrate")
	pod.Spec.Containers[0].WithEnv(corev1ac.EnvVar().WithName("DOWNSTREAM_NODE_UID").WithValue(string(n.UID)))
	return pod
}

// WhitelistJob replaces the whitelist in the database with the whitelist in the
// ConfigMap.
func (n *Node) WhitelistJob() *batchv1ac.JobApplyConfiguration {
	return n.job(Whitelist, n.WhitelistName(), n.whitelistPod())
}

// whitelistPod answers the command's question with a variable, because an older image
// would refuse the flag --yes.
func (n *Node) whitelistPod() *corev1ac.PodTemplateSpecApplyConfiguration {
	pod := n.jobPod(Whitelist, "whitelist", "load", path.Join(configDir, whitelistFile))
	pod.Spec.Containers[0].WithEnv(corev1ac.EnvVar().WithName("DOWNSTREAM_YES").WithValue("true"))
	return pod
}

// MaintenanceJob announces spec.maintenance, or cancels the one that it announced before. If
// the node hibernates, it begins a maintenance instead.
func (n *Node) MaintenanceJob() *batchv1ac.JobApplyConfiguration {
	return n.job(Maintenance, n.MaintenanceName(), n.maintenancePod())
}

func (n *Node) maintenancePod() *corev1ac.PodTemplateSpecApplyConfiguration {
	return n.jobPod(Maintenance, n.maintenanceCommand()...)
}

// hibernationMargin is the time, in seconds, between the end of the Job and the moment
// when the operator ends the pods, at most. If the operator is slower, the node records
// another fault when its pods end.
const hibernationMargin = 300

// maintenanceCommand begins a hibernation by a maintenance that ends soon after the pods have
// ended. A maintenance lasts until the node can work again, however long that takes. An
// early end lets farmers come back early if the node starts again soon.
func (n *Node) maintenanceCommand() []string {
	m := n.Spec.Maintenance
	if n.Spec.Hibernate {
		length := max(n.apiGraceSeconds(), n.workersGraceSeconds()) + hibernationMargin
		return []string{"maintenance", "declare", "--start", "now", "--for", seconds(int32(length)), "--reason", "hibernation"}
	}
	if m == nil {
		return []string{"maintenance", "declare", "--none"}
	}
	command := []string{"maintenance", "declare", "--start", m.Start, "--for", m.Duration}
	if m.Reason != "" {
		// Kubernetes replaces $(NAME) in arguments, and $$ by $.
		command = append(command, "--reason="+strings.ReplaceAll(m.Reason, "$", "$$"))
	}
	return command
}

// jobPod runs one command of the node's image.
func (n *Node) jobPod(role Role, args ...string) *corev1ac.PodTemplateSpecApplyConfiguration {
	container := n.container(role, args...).WithResources(corev1ac.ResourceRequirements().
		WithRequests(corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("64Mi")}).
		WithLimits(corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("512Mi")}))
	template := n.podTemplate(role, container)
	template.Spec.WithRestartPolicy(corev1.RestartPolicyNever)
	return template
}

// job runs a pod until it succeeds. It fails after 6 retries, which take about ten
// minutes, or after an hour. A Job that has ended stays until the operator creates the
// next Job, so that its logs can be read.
//
// The template of a Job never changes. An annotation has a hash of it and of the credentials
// for the database, so that the operator makes a Job again that has not succeeded with others.
func (n *Node) job(role Role, name string, pod *corev1ac.PodTemplateSpecApplyConfiguration) *batchv1ac.JobApplyConfiguration {
	spec := n.jobSpec(role, pod)
	template, err := json.Marshal(spec.Template)
	if err != nil {
		panic(fmt.Sprintf("desired: marshal the template of a Job: %v", err)) // impossible: every value has a JSON form
	}
	hash := n.hash(append(contents(n.MySQLFiles(), n.Inputs.MySQL), template)...)
	return owned(n, role, batchv1ac.Job(name, n.Namespace)).WithAnnotations(map[string]string{AnnotationTemplateHash: hash}).WithSpec(spec)
}

func (n *Node) jobSpec(role Role, pod *corev1ac.PodTemplateSpecApplyConfiguration) *batchv1ac.JobSpecApplyConfiguration {
	return batchv1ac.JobSpec().
		WithBackoffLimit(6).
		WithActiveDeadlineSeconds(3600).
		WithTemplate(n.customized(role, pod))
}
