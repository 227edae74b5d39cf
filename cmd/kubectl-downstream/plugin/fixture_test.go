package plugin

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/driveshare/downstream-node/api/v1"
)

var seenAt = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func condition(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message, LastTransitionTime: metav1.NewTime(seenAt.Add(-3 * time.Minute))}
}

// readyNode is a node with a complete status.
func readyNode() *v1.DownstreamNode {
	backlog, replicas := int64(7), int32(2)
	node := &v1.DownstreamNode{
		ObjectMeta: metav1.ObjectMeta{Name: "farm", Namespace: "storage", Generation: 3},
		Status: v1.DownstreamNodeStatus{
			ObservedGeneration: 3,
			Conditions: []metav1.Condition{
				condition("SomebodyElses", metav1.ConditionTrue, "Because", "it is not ours"),
				condition(v1.WorkersAvailable, metav1.ConditionTrue, "Available", "3 of 4 workers are ready"),
				condition(v1.Ready, metav1.ConditionTrue, "Available", "farmers can farm"),
			},
			API:          v1.APIStatus{Replicas: 2, ReadyReplicas: 2},
			Workers:      v1.WorkersStatus{DesiredReplicas: 4, Replicas: 4, ReadyReplicas: 3, Selector: "app=worker"},
			Backlog:      &backlog,
			URL:          "http://farm-api.storage.svc",
			HeartbeatKey: v1.HeartbeatKeyStatus{SecretName: "farm-heartbeat-key"},
		},
	}
	node.Spec.API.Replicas = &replicas
	return node
}

func workerPod(name string, ready corev1.ConditionStatus) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "storage", Labels: map[string]string{"app": "worker"}},
		Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}},
	}
}

// proxyPaths holds the responses of readyNode's pods. The keys are the paths on the API
// server's proxy.
var proxyPaths = map[string]string{
	"/api/v1/namespaces/storage/services/http:farm-api:http/proxy/api/downstream/v1/status/list": `{"farmers": [
		{"id": "a1", "address": "1A", "location": {"country": "NL"}, "uptime": 99.5, "heartbeats": 12, "contracts": 3, "size": 3072, "online": true, "standing": "good", "score": {"lower": 99.2}, "last_due": "2026-01-02T03:09:05Z"},
		{"id": "b2", "address": "1B", "location": null, "uptime": 0, "heartbeats": 0, "contracts": 0, "size": 0, "online": false, "last_due": null},
		{"id": "c3", "address": "1C", "location": null, "uptime": 0, "heartbeats": 0, "contracts": 1, "size": 0, "online": false, "score": {"lower": 0}, "last_due": null}]}`,
	"/api/v1/namespaces/storage/services/http:farm-api:http/proxy/api/downstream/v1/status/list/online/by/d/size/1": `{"farmers": []}`,
	"/api/v1/namespaces/storage/pods/http:worker-2:9090/proxy/metrics":                                              "# TYPE downstream_queue_oldest_seconds gauge\ndownstream_queue_oldest_seconds 1.26\n",
}

// newTestCluster returns a cluster with objects. proxied holds the response of the pods
// for each path. The key of a log is its path, a space and the name of the container, and
// for the run before " previous".
func newTestCluster(t *testing.T, proxied map[string]string, objects ...client.Object) *cluster {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := r.URL.Path
		if strings.HasSuffix(key, "/log") {
			key += " " + r.URL.Query().Get("container")
			if r.URL.Query().Get("previous") == "true" {
				key += " previous"
			}
		}
		response, ok := proxied[key]
		if !ok {
			http.Error(w, `{"kind": "Status", "status": "Failure", "details": {}}`, http.StatusServiceUnavailable)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/readyz") {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write([]byte(response)) // fails only if the client disconnected
	}))
	t.Cleanup(server.Close)
	host, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	core, err := corev1client.NewForConfigAndClient(&rest.Config{Host: server.URL}, server.Client())
	if err != nil {
		t.Fatal(err)
	}
	return &cluster{
		core: core,
		Client: fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
			WithIndex(&coordinationv1.Lease{}, "metadata.name", func(o client.Object) []string { return []string{o.GetName()} }).Build(),
		namespace: "storage",
		host:      host,
		http:      server.Client(),
	}
}
