package controllers_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/driveshare/downstream-node/api/v1"
)

// waits runs `kubectl wait --for=condition=Ready` and reports whether it succeeds.
func (f *farm) waits() bool {
	f.t.Helper()
	_, err := tryKubectl(f.t, "", "wait", "dn/node", "-n", f.namespace, "--for=condition=Ready", "--timeout=1s")
	if err != nil && !strings.Contains(err.Error(), "timed out waiting for the condition") {
		f.t.Fatal(err)
	}
	return err == nil
}

func (f *farm) wantNo(condition string) {
	f.t.Helper()
	if c := meta.FindStatusCondition(f.node().Status.Conditions, condition); c != nil {
		f.t.Errorf("%s exists: %+v", condition, c)
	}
}

// TestReadyWaitsForTheCurrentSpec sets an image that cannot be pulled, and then a working
// one. Farmers can farm all the time.
func TestReadyWaitsForTheCurrentSpec(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.bringUp()
	f.wantNo("Reconciling")
	f.wantNo("Stalled")
	if !f.waits() {
		t.Error("kubectl wait fails for a ready node")
	}

	f.edit(func(s *v1.DownstreamNodeSpec) { s.Image = "example.org/broken" })
	if f.waits() {
		t.Error("kubectl wait succeeds before the operator has handled the edit")
	}
	f.settle()
	f.wantCondition("Reconciling", "True", "Migrating")
	f.wantCondition("Ready", "False", "Migrating")
	if f.waits() {
		t.Error("kubectl wait succeeds during the migration")
	}
	job := f.jobOf("migration")
	f.pod(job, job.Spec.Template, notPulled())
	f.settle()
	f.wantCondition("Stalled", "True", "ImagePullFailed")
	f.wantNo("Reconciling")
	f.wantCondition("Ready", "False", "ImagePullFailed")
	f.wantCondition("Available", "True", "FarmersCanFarm")
	if f.waits() {
		t.Error("kubectl wait succeeds although the image cannot be pulled")
	}

	f.setImage("example.org/working")
	f.finish(f.jobOf("migration"), true)
	f.settle()
	f.wantCondition("Reconciling", "True", "RollingOut")
	f.wantCondition("Ready", "False", "RollingOut")
	if f.waits() {
		t.Error("kubectl wait succeeds while old pods run")
	}
	f.run("node-api")
	f.run("node-workers")
	f.settle()
	f.wantCondition("Ready", "True", "FarmersCanFarm")
	f.wantNo("Reconciling")
	f.wantNo("Stalled")
	if !f.waits() {
		t.Error("kubectl wait fails after the rollout")
	}
}

// TestScalingIsNoRollout checks that other numbers of pods and a failing pod leave Ready
// true.
func TestScalingIsNoRollout(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "workers: {autoscaling: {max: 5, targetBacklogPerWorker: 1}}")
	f.bringUp()
	f.wantCondition("Ready", "True", "FarmersCanFarm")
	f.backlog = 5
	f.ok(f.reconcile()) // the Deployment's controller has not read the change yet
	f.wantCondition("Ready", "True", "FarmersCanFarm")
	f.settle()
	f.wantCondition("Ready", "True", "FarmersCanFarm")
	f.wantCondition("Progressing", "False", "AsExpected")
	d := f.deployment("node-api")
	d.Status.ReadyReplicas, d.Status.AvailableReplicas = 1, 1
	f.ok(f.Status().Update(t.Context(), d))
	f.settle()
	f.wantCondition("Ready", "True", "FarmersCanFarm")
	f.wantCondition("Progressing", "False", "AsExpected")
}

// TestFailedReconcileDoesNotCountAsObserved edits a node while the API server refuses
// writes.
func TestFailedReconcileDoesNotCountAsObserved(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.bringUp()
	before := f.node().Status.ObservedGeneration
	down := true
	f.operator = f.newOperator(interceptor.NewClient(f.WithWatch, interceptor.Funcs{
		Apply: func(ctx context.Context, c client.WithWatch, object runtime.ApplyConfiguration, options ...client.ApplyOption) error {
			if down {
				return errors.New("etcd is busy")
			}
			return c.Apply(ctx, object, options...)
		},
	}))
	if err := f.reconcile(); err == nil {
		t.Fatal("the reconcile did not fail")
	}
	f.wantCondition("Ready", "True", "FarmersCanFarm")
	f.edit(func(s *v1.DownstreamNodeSpec) { s.Image = "example.org/new" })
	if err := f.reconcile(); err == nil {
		t.Fatal("the reconcile did not fail")
	}
	if got := f.node().Status.ObservedGeneration; got != before {
		t.Errorf("the observed generation is %d, want %d", got, before)
	}
	f.wantCondition("Ready", "False", "Applying")
	f.wantMessage("Ready", "etcd is busy")
	f.wantCondition("Available", "True", "FarmersCanFarm")
	if f.waits() {
		t.Error("kubectl wait succeeds")
	}
	down = false
	f.settle()
	f.wantCondition("Ready", "False", "Migrating")
}
