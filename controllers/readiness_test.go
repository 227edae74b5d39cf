package controllers_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/driveshare/downstream-node/controllers"
)

// TestOutage takes the database or Redis from every pod. Each pod says so in its
// readiness check, and the pods keep running.
func TestOutage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, check, says         string
		condition, other, because string
	}{
		{"a read-only database", "database", "Error 1290: running with the --read-only option", "DatabaseAvailable", "QueueAvailable", "DatabaseUnavailable"},
		{"a full Redis", "redis", "OOM command not allowed when used memory > 'maxmemory'", "QueueAvailable", "DatabaseAvailable", "QueueUnavailable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFarm(t, "")
			f.bringUp()
			f.wantCondition(tt.condition, "True", "Usable")
			f.readiness = map[string]map[string]string{}
			for address, name := range map[string]string{"10.0.0.1": "node-api", "10.0.0.2": "node-workers"} {
				d := f.deployment(name)
				d.Status.ReadyReplicas, d.Status.AvailableReplicas = 0, 0
				f.ok(f.Status().Update(t.Context(), d))
				f.podWith(nil, d.Spec.Template, func(s *corev1.PodStatus) {
					s.Phase, s.PodIP = corev1.PodRunning, address
					s.ContainerStatuses[0].State.Running = &corev1.ContainerStateRunning{}
				})
				checks := map[string]string{"database": "ok", "redis": "ok"}
				checks[tt.check] = tt.says
				f.readiness[address+":9090"] = checks
			}
			result, err := f.operator.Reconcile(t.Context(), f.request())
			f.ok(err)
			if result.RequeueAfter > 15*time.Second {
				t.Errorf("the operator looks again after %v", result.RequeueAfter)
			}
			f.wantCondition(tt.condition, "False", tt.because)
			f.wantMessage(tt.condition, "the pod pod-", " reports: "+tt.says+".")
			f.wantCondition(tt.other, "True", "Usable")
			f.wantCondition("Degraded", "True", tt.because)
			f.wantCondition("Ready", "False", tt.because)
			f.wantCondition("Available", "False", tt.because)
			f.wantMessage("Ready", tt.says)
			f.wantCondition("Progressing", "False", "AsExpected")
			f.wantNo("Stalled")

			f.run("node-api")
			f.run("node-workers")
			f.settle()
			f.wantCondition(tt.condition, "True", "Usable")
			f.wantCondition("Ready", "True", "FarmersCanFarm")
			f.wantCondition("Degraded", "False", "AsExpected")
		})
	}
}

func TestReadReadiness(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		respond http.HandlerFunc
		want    string // the response for the database; empty if an error is expected
	}{
		{"a pod that is not ready", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"database": "read-only", "redis": "ok"}`))
		}, "read-only"},
		{"another program", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }, ""},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		}, ""},
		{"an endless response", func(w http.ResponseWriter, _ *http.Request) {
			for range 1 << 10 {
				if _, err := w.Write([]byte(strings.Repeat(" ", 1<<10))); err != nil {
					return
				}
			}
			_, _ = w.Write([]byte(`{"database": "read-only"}`))
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(tt.respond)
			defer server.Close()
			checks, err := controllers.ReadReadiness(t.Context(), strings.TrimPrefix(server.URL, "http://"))
			if got := checks["database"]; got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("the response is %q, %v", got, err)
			}
		})
	}
}
