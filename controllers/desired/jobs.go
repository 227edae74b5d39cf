package desired

import (
	"path"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	batchv1ac "k8s.io/client-go/applyconfigurations/batch/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/driveshare/downstream-node/internal/program"
)

// MigrationJob brings the database to the schema of the image. It fails at once
// where the database belongs to another heartbeat key than the node's, for
// trying again does not change that.
func (n *Node) MigrationJob() *batchv1ac.JobApplyConfiguration {
	job := n.job(Migration, n.MigrationName(), "db", "migrate")
	job.Spec.WithPodFailurePolicy(batchv1ac.PodFailurePolicy().WithRules(batchv1ac.PodFailurePolicyRule().
		WithAction(batchv1.PodFailurePolicyActionFailJob).
		WithOnExitCodes(batchv1ac.PodFailurePolicyOnExitCodesRequirement().
			WithContainerName(string(Migration)).
			WithOperator(batchv1.PodFailurePolicyOnExitCodesOpIn).
			WithValues(program.ExitOtherKey))))
	return job
}

// WhitelistJob makes the whitelist equal to the ConfigMap's.
func (n *Node) WhitelistJob() *batchv1ac.JobApplyConfiguration {
	return n.job(Whitelist, n.WhitelistName(), "whitelist", "load", path.Join(configDir, whitelistFile))
}

// job runs one command of the node's image. It is kept when it has ended, so
// that its logs can be read; the operator deletes it when another takes its
// place. It fails for good after about ten minutes of trying, or where its pod
// cannot run for an hour.
func (n *Node) job(role Role, name string, args ...string) *batchv1ac.JobApplyConfiguration {
	container := n.container(role, args...).WithResources(corev1ac.ResourceRequirements().
		WithRequests(corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("64Mi")}).
		WithLimits(corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("512Mi")}))
	template := n.podTemplate(role, container)
	template.Spec.WithRestartPolicy(corev1.RestartPolicyNever)
	return batchv1ac.Job(name, n.Namespace).
		WithLabels(n.Labels(role)).
		WithOwnerReferences(n.owner()).
		WithSpec(batchv1ac.JobSpec().
			WithBackoffLimit(6).
			WithActiveDeadlineSeconds(3600).
			WithTemplate(template))
}
