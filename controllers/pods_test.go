package controllers_test

import (
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1"
)

// pod creates a pod from a template and sets the state of its container.
func (f *farm) pod(owner *batchv1.Job, template corev1.PodTemplateSpec, state corev1.ContainerState) *corev1.Pod {
	f.t.Helper()
	return f.podWith(owner, template, func(s *corev1.PodStatus) { s.ContainerStatuses[0].State = state })
}

// podWith creates a pod from a template and sets its status.
func (f *farm) podWith(owner *batchv1.Job, template corev1.PodTemplateSpec, set func(*corev1.PodStatus)) *corev1.Pod {
	f.t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "pod-", Labels: template.Labels}, Spec: *template.Spec.DeepCopy()}
	pod.Spec.Containers[0].VolumeMounts = nil // a StatefulSet adds its own volumes
	if owner != nil {
		pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(owner, batchv1.SchemeGroupVersion.WithKind("Job"))}
	}
	f.create(pod)
	container := template.Spec.Containers[0]
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: container.Name, Image: container.Image}}
	set(&pod.Status)
	f.ok(f.Status().Update(f.t.Context(), pod))
	return pod
}

// warn creates a warning about an object, as Kubernetes does.
func (f *farm) warn(about client.Object, kind, reason, message string) {
	f.t.Helper()
	f.create(&corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{GenerateName: "event-"},
		InvolvedObject: corev1.ObjectReference{Kind: kind, Namespace: f.namespace, Name: about.GetName(), UID: about.GetUID()},
		Type:           corev1.EventTypeWarning, Reason: reason, Message: message,
		LastTimestamp: metav1.NewTime(f.clock),
	})
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
	for role, edit := range map[string]func(*v1.DownstreamNodeSpec){
		"api":     func(s *v1.DownstreamNodeSpec) { s.API.TrustedProxies = []string{"10.0.0.0/8"} },
		"workers": func(s *v1.DownstreamNodeSpec) { s.Inventory.TotalSize = "2Gi" },
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

// TestPodsThatDoNotRun checks that a pod that does not run, or cannot be created, is a
// problem in the words of Kubernetes or of the pod, and that the operator looks again
// soon.
func TestPodsThatDoNotRun(t *testing.T) {
	t.Parallel()
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	waiting := func(reason string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "so the kubelet says"}}
	}
	crashed := func(f *farm, state corev1.ContainerState) func(*corev1.PodStatus) {
		return func(s *corev1.PodStatus) {
			s.ContainerStatuses[0].State, s.ContainerStatuses[0].RestartCount = state, 3
			s.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{
				ExitCode: 1, Message: "starting\ndownstream-node: config: no such key\n", FinishedAt: metav1.NewTime(f.clock.Add(-time.Minute)),
			}
		}
	}
	tests := []struct {
		name string
		make func(f *farm, template corev1.PodTemplateSpec)
		want string // the reason; empty if there is no problem
		says []string
	}{
		{"in a crash loop", func(f *farm, template corev1.PodTemplateSpec) {
			f.podWith(nil, template, crashed(f, waiting("CrashLoopBackOff")))
		}, "PodCrashes", []string{"has ended 3 times, the last time with: downstream-node: config: no such key."}},
		{"running between two crashes", func(f *farm, template corev1.PodTemplateSpec) {
			f.podWith(nil, template, crashed(f, running))
		}, "PodCrashes", []string{"config: no such key"}},
		{"crashed long ago", func(f *farm, template corev1.PodTemplateSpec) {
			f.podWith(nil, template, crashed(f, running))
			f.clock = f.clock.Add(time.Hour)
		}, "", nil},
		{"without a machine", func(f *farm, template corev1.PodTemplateSpec) {
			f.podWith(nil, template, func(s *corev1.PodStatus) {
				s.ContainerStatuses = nil
				s.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: "False", Reason: "Unschedulable", Message: "0/3 nodes are available: 3 Insufficient cpu."}}
			})
		}, "PodUnschedulable", []string{"no machine can run the pod", "3 Insufficient cpu."}},
		{"with a container that cannot be made", func(f *farm, template corev1.PodTemplateSpec) {
			f.pod(nil, template, waiting("CreateContainerConfigError"))
		}, "PodNotStarted", []string{"CreateContainerConfigError: so the kubelet says"}},
		{"waiting for a volume", func(f *farm, template corev1.PodTemplateSpec) {
			pod := f.pod(nil, template, waiting("ContainerCreating"))
			f.warn(pod, "Pod", "Scheduled", "an older message")
			f.clock = f.clock.Add(time.Hour)
			f.warn(pod, "Pod", "FailedMount", `configmap "geo" not found`)
		}, "PodNotStarted", []string{`does not start: FailedMount: configmap "geo" not found`}},
		{"being created", func(f *farm, template corev1.PodTemplateSpec) {
			f.pod(nil, template, waiting("ContainerCreating"))
		}, "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFarm(t, "")
			f.bringUp()
			f.edit(func(s *v1.DownstreamNodeSpec) { s.API.TrustedProxies = []string{"10.0.0.0/8"} })
			f.settle()
			tt.make(f, f.deployment("node-api").Spec.Template)
			result, err := f.operator.Reconcile(t.Context(), f.request())
			f.ok(err)
			if result.RequeueAfter > 15*time.Second {
				t.Errorf("the operator looks again after %v", result.RequeueAfter)
			}
			f.wantCondition("Available", "True", "FarmersCanFarm")
			if tt.want == "" {
				f.wantCondition("Degraded", "False", "AsExpected")
				f.wantCondition("Ready", "False", "RollingOut")
				return
			}
			for _, condition := range []string{"Degraded", "Stalled"} {
				f.wantCondition(condition, "True", tt.want)
				f.wantMessage(condition, tt.says...)
			}
			f.wantCondition("Ready", "False", tt.want)
			f.run("node-api")
			f.settle()
			f.wantCondition("Degraded", "False", "AsExpected")
		})
	}
}

// TestJobWhosePodsAreRefused runs a migration in a namespace whose LimitRange refuses its
// pods. Only an event says so.
func TestJobWhosePodsAreRefused(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.settle()
	job := f.jobOf("migration")
	f.wantCondition("Degraded", "False", "AsExpected")
	f.warn(job, "Job", "FailedCreate", "pods is forbidden: minimum memory usage per Container is 1Gi, but request is 64Mi")
	result, err := f.operator.Reconcile(t.Context(), f.request())
	f.ok(err)
	if result.RequeueAfter > 15*time.Second {
		t.Errorf("the operator looks again after %v", result.RequeueAfter)
	}
	for _, condition := range []string{"Degraded", "Stalled"} {
		f.wantCondition(condition, "True", "PodsRefused")
		f.wantMessage(condition, "the pods of the Job "+job.Name+" cannot be created: FailedCreate: pods is forbidden: minimum memory usage per Container is 1Gi")
	}
	f.wantCondition("Ready", "False", "PodsRefused")
	f.pod(job, job.Spec.Template, corev1.ContainerState{Running: &corev1.ContainerStateRunning{}})
	f.settle()
	f.wantCondition("Degraded", "False", "AsExpected")
	f.finish(job, true)
	f.bringUpAgain()
}
