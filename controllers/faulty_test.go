package controllers_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/driveshare/downstream-node/controllers"
)

// TestFaulty begins and ends a fault in which most proofs fail.
func TestFaulty(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.bringUp()
	f.wantCondition("Faulty", "False", "NoFault")

	start := f.clock.Add(-time.Minute)
	f.faults = []controllers.Fault{{Start: start.Unix(), Cause: "failing", Evidence: "31 of 40 proofs failed"}}
	f.clock = f.clock.Add(30 * time.Second)
	result, err := f.operator.Reconcile(t.Context(), f.request())
	f.ok(err)
	if result.RequeueAfter > 15*time.Second {
		t.Errorf("the operator looks again after %v", result.RequeueAfter)
	}
	f.wantCondition("Faulty", "True", "Failing")
	f.wantMessage("Faulty", "since 2025-12-31T23:59:00Z: 31 of 40 proofs failed.")
	if c := meta.FindStatusCondition(f.node().Status.Conditions, "Faulty"); !c.LastTransitionTime.Time.Equal(start) {
		t.Errorf("it became true at %v, want %v", c.LastTransitionTime, start)
	}
	f.wantCondition("Degraded", "True", "Failing")
	f.wantCondition("Available", "False", "Failing")
	f.wantCondition("Ready", "False", "Failing")
	f.wantNo("Stalled")
	f.wantFaultEvent("Warning Failing Faulty is True")

	end := f.clock.Unix()
	f.faults = []controllers.Fault{f.faults[0]}
	f.faults[0].End = &end
	f.ok(f.reconcile())
	f.wantCondition("Faulty", "False", "FaultOver")
	f.wantMessage("Faulty", "from 2025-12-31T23:59:00Z to 2026-01-01T00:00:30Z: 31 of 40 proofs failed.")
	f.wantCondition("Degraded", "False", "AsExpected")
	f.wantCondition("Ready", "True", "FarmersCanFarm")
	f.wantFaultEvent("Normal FaultOver Faulty is False")

	f.faultsErr = errors.New("i/o timeout")
	f.clock = f.clock.Add(30 * time.Second)
	f.settle()
	f.wantCondition("Faulty", "Unknown", "FaultsUnknown")
	f.wantMessage("Faulty", "i/o timeout.")
	f.wantCondition("Ready", "True", "FarmersCanFarm")

	d := f.deployment("node-api")
	d.Status.ReadyReplicas, d.Status.AvailableReplicas = 0, 0
	f.ok(f.Status().Update(t.Context(), d))
	f.settle()
	f.wantMessage("Faulty", "no API replica is ready.")
}

func (f *farm) wantFaultEvent(want string) {
	f.t.Helper()
	sent := f.events()
	if !slices.ContainsFunc(sent, func(e string) bool { return strings.HasPrefix(e, want) }) {
		f.t.Errorf("there is no event %q in %q", want, sent)
	}
}

// TestFaultTraffic counts how often the operator asks a node that has no fault.
func TestFaultTraffic(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "workers: {autoscaling: {max: 5, targetBacklogPerWorker: 1}}")
	f.bringUp()
	f.faultReads = 0
	for range 60 {
		f.clock = f.clock.Add(10 * time.Second) // the interval of a node with autoscaling
		f.ok(f.reconcile())
	}
	if f.faultReads > 20 || f.faultReads < 10 {
		t.Errorf("the operator asked %d times in ten minutes", f.faultReads)
	}
}

func TestReadFaults(t *testing.T) {
	t.Parallel()
	status, body := http.StatusOK, `{"faults": [{"start": 100, "end": null, "resume": null, "cause": "down", "evidence": "e", "void": 0}], "maintenances": [{"start": 200, "end": 300, "reason": "disks"}]}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/downstream/v1/status/faults" {
			t.Errorf("the path is %s", r.URL.Path)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	faults, err := controllers.ReadFaults(t.Context(), address)
	want := controllers.Faults{
		Faults:       []controllers.Fault{{Start: 100, Cause: "down", Evidence: "e"}},
		Maintenances: []controllers.Maintenance{{Start: 200, End: 300, Reason: "disks"}},
	}
	if err != nil || !reflect.DeepEqual(faults, want) {
		t.Errorf("the faults are %+v, %v, want %+v", faults, err, want)
	}
	for _, tt := range []struct {
		status int
		body   string
	}{{http.StatusNotFound, `{"status": "error"}`}, {http.StatusServiceUnavailable, "{}"}, {http.StatusOK, "hello"}} {
		status, body = tt.status, tt.body
		if faults, err := controllers.ReadFaults(t.Context(), address); err == nil {
			t.Errorf("%d %s is read as %+v", tt.status, tt.body, faults)
		}
	}
}
