package plugin

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// waitingPod returns a pod of readyNode that is not ready.
func waitingPod(role, name string, status corev1.PodStatus) *corev1.Pod {
	status.Conditions = append(status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse})
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "storage", Labels: map[string]string{
			"app.kubernetes.io/name": "downstream-node", "app.kubernetes.io/instance": "farm", "app.kubernetes.io/component": role,
		}},
		Status: status,
	}
}

// TestStatusShowsWhyPodsAreNotReady has one case for each source of the reason.
func TestStatusShowsWhyPodsAreNotReady(t *testing.T) {
	t.Parallel()
	readyz := map[string]string{"/api/v1/namespaces/storage/pods/http:api-1:9090/proxy/readyz": `{"database": "ok", "redis": "dial tcp: connection refused", "process": "starting"}`}
	waiting := corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"},
	}}}}
	unscheduled := corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "no room"}}}
	for name, tt := range map[string]struct {
		pod  *corev1.Pod
		says string
	}{
		"/readyz":     {waitingPod("api", "api-1", corev1.PodStatus{}), "Pod api-1 is not ready: process: starting; redis: dial tcp: connection refused\n"},
		"kubelet":     {waitingPod("workers", "worker-1", waiting), "Pod worker-1 is not ready: CrashLoopBackOff; see `kubectl -n storage logs worker-1 --previous`\n"},
		"scheduler":   {waitingPod("workers", "worker-1", unscheduled), "Pod worker-1 is not ready: no room\n"},
		"no response": {waitingPod("api", "api-2", corev1.PodStatus{}), "Pod api-2 is not ready: unknown (503 Service Unavailable: {"},
	} {
		var out strings.Builder
		if err := newTestCluster(t, readyz, readyNode(), tt.pod).printStatus(t.Context(), &out, "farm", seenAt); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !strings.Contains(out.String(), tt.says) {
			t.Errorf("%s: no %q in\n%s", name, tt.says, &out)
		}
	}
}

// TestStatusSkipsPodsThatHaveEnded checks that an evicted or completed pod is not the reason
// why a node is not ready.
func TestStatusSkipsPodsThatHaveEnded(t *testing.T) {
	t.Parallel()
	for _, phase := range []corev1.PodPhase{corev1.PodFailed, corev1.PodSucceeded} {
		ended := waitingPod("workers", "worker-1", corev1.PodStatus{Phase: phase, Reason: "Evicted"})
		waits := waitingPod("workers", "worker-2", corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "no room"}}})
		for name, c := range map[string]*cluster{"alone": newTestCluster(t, nil, readyNode(), ended), "beside another": newTestCluster(t, nil, readyNode(), ended, waits)} {
			var out strings.Builder
			if err := c.printStatus(t.Context(), &out, "farm", seenAt); err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(out.String(), "Pod worker-2 is not ready: no room"); strings.Contains(out.String(), "worker-1") || got != (name == "beside another") {
				t.Errorf("%s, %s:\n%s", phase, name, &out)
			}
		}
	}
}

// TestWithoutNodeName checks that the error says how to find a name.
func TestWithoutNodeName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"status", "farmers", "pause", "resume", "maintenance", "logs", "report", "restart",
		"key list", "key rotate", "key export", "key import", "key verify", "queue dead list", "queue dead show", "queue dead retry", "queue dead drop",
	} {
		cmd := New()
		cmd.SetArgs(strings.Fields(name))
		want := fmt.Sprintf("NAME is missing; run `kubectl downstream %s NAME`; `kubectl get downstreamnodes` lists the names; see `kubectl downstream %[1]s --help`", name)
		if err := cmd.ExecuteContext(t.Context()); err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}
