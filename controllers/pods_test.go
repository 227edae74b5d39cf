package controllers_test

import (
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/driveshare/downstream-node/api/v1alpha1"
)

// pod creates a pod from a template and sets the state of its container.
func (f *farm) pod(owner *batchv1.Job, template corev1.PodTemplateSpec, state corev1.ContainerState) {
	f.t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "pod-", Labels: template.Labels}, Spec: template.Spec}
	if owner != nil {
		pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(owner, batchv1.SchemeGroupVersion.WithKind("Job"))}
	}
	f.create(pod)
	container := template.Spec.Containers[0]
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: container.Name, Image: container.Image, State: state}}
	f.ok(f.Status().Update(f.t.Context(), pod))
}

// attempt adds a failed pod to a Job, with the last lines of its log.
func (f *farm) attempt(job *batchv1.Job, lines string) {
	f.t.Helper()
	job.Status.Failed++
	f.clock = f.clock.Add(time.Minute)
	f.pod(job, job.Spec.Template, corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: 1, Reason: "Error", Message: lines, FinishedAt: metav1.NewTime(f.clock),
	}})
	f.start(job)
	f.settle()
}

func notPulled() corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "no such image"}}
}

func (f *farm) wantMessage(condition string, parts ...string) {
	f.t.Helper()
	for _, part := range parts {
		if message := f.message(condition); !strings.Contains(message, part) {
			f.t.Errorf("%s is %q and does not contain %q", condition, message, part)
		}
	}
}

func TestFailingMigration(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.settle()
	job := f.jobOf("migration")
	f.attempt(job, "downstream-node: ping: connection refused\n")
	f.wantCondition("Degraded", "False", "AsExpected") // the database may still be starting
	f.attempt(job, "starting\ndownstream-node: ping: access denied\n")
	f.wantCondition("Degraded", "True", "MigrationFailing")
	f.wantCondition("Ready", "False", "MigrationFailing")
	f.wantCondition("Progressing", "True", "Migrating")
	f.wantMessage("Degraded", "2 attempts failed", "the last with: downstream-node: ping: access denied;", "kubectl logs job/"+job.Name)
	f.attempt(job, "")
	f.wantMessage("Degraded", "3 attempts failed", "exit code 1 (Error)")
	f.finish(job, true)
	f.bringUpAgain()
	f.wantCondition("Degraded", "False", "AsExpected")
	f.wantCondition("Available", "True", "FarmersCanFarm")
}

// TestFailingWhitelist loads a faulty whitelist. Farmers can farm during and after all
// attempts.
func TestFailingWhitelist(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "whitelist: {configMapRef: {name: list}}")
	f.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "list"}, Data: map[string]string{"whitelist.csv": "nonsense"}})
	f.bringUp()
	job := f.jobOf("whitelist")
	const complaint = `line 2: "notanaddress": invalid address`
	f.attempt(job, complaint)
	f.attempt(job, complaint)
	f.wantCondition("Degraded", "True", "WhitelistFailing")
	f.wantMessage("Degraded", complaint)
	f.wantCondition("Available", "True", "FarmersCanFarm")
	f.finish(job, false)
	f.settle()
	f.wantCondition("Degraded", "True", "WhitelistFailed")
	f.wantMessage("Degraded", complaint, "so the test says")
}

func TestImageThatCannotBePulled(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.settle()
	job := f.jobOf("migration")
	f.pod(job, job.Spec.Template, notPulled())
	f.settle()
	f.wantCondition("Degraded", "True", "ImagePullFailed")
	f.wantCondition("Ready", "False", "ImagePullFailed")
	f.wantMessage("Degraded", "the image "+operatorImage+" cannot be pulled: ImagePullBackOff: no such image")
	f.finish(job, true)
	f.bringUpAgain()
	f.wantCondition("Degraded", "False", "AsExpected")
	for role, edit := range map[string]func(*v1alpha1.DownstreamNodeSpec){
		"api":     func(s *v1alpha1.DownstreamNodeSpec) { s.API.TrustedProxies = []string{"10.0.0.0/8"} },
		"workers": func(s *v1alpha1.DownstreamNodeSpec) { s.Inventory.TotalSize = "2Gi" },
	} {
		f.edit(edit)
		f.settle()
		f.pod(nil, f.deployment("node-"+role).Spec.Template, notPulled())
		f.settle()
		f.wantCondition("Degraded", "True", "ImagePullFailed")
		f.wantCondition("Available", "True", "FarmersCanFarm") // the old pods still run
		f.run("node-" + role)
		f.settle()
		f.wantCondition("Degraded", "False", "AsExpected")
	}
}
