package controllers_test

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1"
)

func (f *farm) hibernate(want bool) {
	f.t.Helper()
	f.edit(func(s *v1.DownstreamNodeSpec) { s.Hibernate = want })
	f.settle()
}

// maintenanceJob returns the Job of the maintenance, which must run this command.
func (f *farm) maintenanceJob(want ...string) *batchv1.Job {
	f.t.Helper()
	job := f.jobOf("maintenance")
	if got := job.Spec.Template.Spec.Containers[0].Args; !slices.Equal(got[:len(got)-2], append([]string{"maintenance", "declare"}, want...)) {
		f.t.Fatalf("the Job runs %q, want %q", got, want)
	}
	return job
}

var (
	// A pod may take 40 seconds to end. Five minutes are for the operator.
	begins = []string{"--start", "now", "--for", "5m40s", "--reason", "hibernation"}
	ends   = []string{"--none"}
)

// wantReplicas checks the numbers of pods that Kubernetes should run.
func (f *farm) wantReplicas(api, workers, databases int32) {
	f.t.Helper()
	if got := [2]int32{*f.deployment("node-api").Spec.Replicas, *f.deployment("node-workers").Spec.Replicas}; got != [2]int32{api, workers} {
		f.t.Errorf("%v API replicas and workers are applied, want %d and %d", got, api, workers)
	}
	f.wantDatabases(databases)
}

func (f *farm) wantDatabases(want int32) {
	f.t.Helper()
	sets := &appsv1.StatefulSetList{}
	f.ok(f.List(f.t.Context(), sets, client.InNamespace(f.namespace)))
	if len(sets.Items) != 2 {
		f.t.Errorf("there are %d databases, want 2", len(sets.Items))
	}
	for _, set := range sets.Items {
		if *set.Spec.Replicas != want {
			f.t.Errorf("%s has %d replicas, want %d", set.Name, *set.Spec.Replicas, want)
		}
	}
}

// endPods does what Kubernetes does when a node hibernates.
func (f *farm) endPods() {
	f.t.Helper()
	f.run("node-api")
	f.run("node-workers")
	f.ok(f.DeleteAllOf(f.t.Context(), &corev1.Pod{}, client.InNamespace(f.namespace), client.GracePeriodSeconds(0)))
	f.settle()
	sets := &appsv1.StatefulSetList{}
	f.ok(f.List(f.t.Context(), sets, client.InNamespace(f.namespace)))
	for i := range sets.Items {
		sets.Items[i].Status = appsv1.StatefulSetStatus{ObservedGeneration: sets.Items[i].Generation}
		f.ok(f.Status().Update(f.t.Context(), &sets.Items[i]))
	}
	f.settle()
}

// TestHibernate takes a node with evaluation databases to zero pods and back.
func TestHibernate(t *testing.T) {
	t.Parallel()
	f := emptyFarm(t)
	f.createNode(backedUp + "\napi: {autoscaling: {min: 3, max: 9}}\nworkers: {replicas: 4}")
	f.bringUp()

	f.hibernate(true)
	f.wantCondition("Hibernated", "False", "Hibernating")
	f.wantCondition("Ready", "False", "Hibernating")
	f.wantCondition("Available", "True", "FarmersCanFarm")
	f.wantReplicas(3, 4, 1) // the maintenance has not begun
	worker := f.podWith(nil, f.deployment("node-workers").Spec.Template, func(*corev1.PodStatus) {})

	f.finish(f.maintenanceJob(begins...), true)
	f.settle()
	f.wantReplicas(0, 0, 1)
	f.run("node-api")
	f.run("node-workers")
	f.settle()
	f.wantReplicas(0, 0, 1) // a worker has not ended yet, and needs the databases
	f.wantCondition("Hibernated", "False", "Hibernating")
	f.wantCondition("APIAvailable", "False", "Hibernated")
	f.ok(f.Delete(t.Context(), worker, client.GracePeriodSeconds(0)))
	f.endPods()

	hibernated := func() {
		t.Helper()
		f.wantReplicas(0, 0, 0)
		f.wantCondition("Hibernated", "True", "Hibernated")
		for _, condition := range []string{"Ready", "Available", "APIAvailable", "WorkersAvailable"} {
			f.wantCondition(condition, "False", "Hibernated")
		}
		f.wantCondition("Degraded", "False", "AsExpected")
		f.wantCondition("Progressing", "False", "AsExpected")
	}
	hibernated()
	if f.find(&autoscalingv2.HorizontalPodAutoscaler{}, "node-api") || f.find(&policyv1.PodDisruptionBudget{}, "node-workers") || f.find(&batchv1.CronJob{}, "node-backup") {
		t.Error("an autoscaler, a disruption budget or the CronJob of the backups still exists")
	}
	if node := f.node(); node.Status.ObservedGeneration != node.Generation || node.Status.Workers.DesiredReplicas != 0 || node.Status.Backlog != nil {
		t.Errorf("the status is %+v", node.Status)
	}
	if out := kubectl(t, "", "get", "dn", "node", "-n", f.namespace); !strings.Contains(out, "False   Hibernated ") {
		t.Errorf("kubectl prints %s", out)
	}

	// Neither kubectl scale nor an autoscaler of somebody starts a pod, and a new image waits.
	kubectl(t, "", "scale", "dn/node", "-n", f.namespace, "--replicas=5")
	kubectl(t, "", "scale", "deployment/node-api", "deployment/node-workers", "-n", f.namespace, "--replicas=2")
	f.setImage("example.org/new")
	hibernated()
	if f.jobOf("migration").Spec.Template.Spec.Containers[0].Image != operatorImage || f.jobOfOrNil("maintenance") != nil {
		t.Error("a Job was started")
	}

	f.hibernate(false)
	f.wantReplicas(3, 5, 1)
	f.wantCondition("Hibernated", "False", "WakingUp")
	f.wantCondition("SchemaMigrated", "False", "MigrationWaiting") // for MySQL
	f.runDatabases()
	f.settle()
	f.finish(f.jobOf("migration"), true)
	f.settle()
	f.wantCondition("Ready", "False", "NoneAvailable")
	f.wantCondition("Progressing", "True", "WakingUp")
	if f.image("node-workers") != "example.org/new" || f.jobOfOrNil("maintenance") != nil {
		t.Error("the pods have the old image, or the maintenance ends before they are ready")
	}
	f.bringUpAgain()
	f.wantCondition("Hibernated", "False", "NotHibernated")
	f.finish(f.maintenanceJob(ends...), true)
	f.settle()
	f.wantCondition("Ready", "True", "FarmersCanFarm")
	if f.node().Status.Maintenance != "" || !f.find(&autoscalingv2.HorizontalPodAutoscaler{}, "node-api") || !f.find(&batchv1.CronJob{}, "node-backup") {
		t.Error("the node is not as before")
	}
}

// TestHibernateNewNode creates a node that hibernates. It has no farmer, so it needs no
// maintenance.
func TestHibernateNewNode(t *testing.T) {
	t.Parallel()
	f := emptyFarm(t)
	f.createNode(evaluation + "\nhibernate: true")
	f.settle()
	f.wantCondition("Hibernated", "True", "Hibernated")
	f.wantCondition("Ready", "False", "Hibernated")
	f.wantDatabases(0)
	if f.node().Status.HeartbeatKey.SecretName != "" || f.jobOfOrNil("maintenance") != nil {
		t.Error("the node has a key or a Job")
	}
	f.edit(func(s *v1.DownstreamNodeSpec) { s.Hibernate = false })
	f.bringUp()
	f.wantCondition("Hibernated", "False", "NotHibernated")
	f.wantCondition("Ready", "True", "FarmersCanFarm")
}

// TestHibernateChanges changes spec.hibernate before the earlier change has taken effect. Whenever the
// pods end, the last Job that completed has begun a maintenance.
func TestHibernateChanges(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		before func(f *farm) // leaves spec.hibernate false
	}{
		{"the first Job runs", func(f *farm) {
			f.hibernate(true)
			f.start(f.maintenanceJob(begins...))
			f.hibernate(false)
		}},
		{"the pods are ending", func(f *farm) {
			f.hibernate(true)
			f.finish(f.maintenanceJob(begins...), true)
			f.settle()
			f.hibernate(false)
			f.wantReplicas(2, 1, 1)
		}},
		{"the pods are starting", func(f *farm) {
			f.hibernate(true)
			f.finish(f.maintenanceJob(begins...), true)
			f.settle()
			f.endPods()
			f.hibernate(false)
			f.wantCondition("Hibernated", "False", "WakingUp")
		}},
		{"the maintenance ends", func(f *farm) {
			f.hibernate(true)
			f.finish(f.maintenanceJob(begins...), true)
			f.settle()
			f.endPods()
			f.hibernate(false)
			f.bringUpAgain()
			f.maintenanceJob(ends...)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := emptyFarm(t)
			f.createNode(evaluation)
			f.bringUp()
			tt.before(f)
			f.hibernate(true)
			f.bringUpAgain()
			for range 3 { // Jobs that complete in the order in which they are created
				if job := f.jobOfOrNil("maintenance"); job != nil && len(job.Status.Conditions) == 0 {
					if f.deployment("node-api").Status.Replicas == 0 {
						t.Fatal("the pods have ended before the maintenance has begun")
					}
					last := job.Spec.Template.Spec.Containers[0].Args
					f.finish(job, true)
					f.settle()
					if *f.deployment("node-api").Spec.Replicas == 0 && !slices.Contains(last, "now") {
						t.Errorf("the pods end after a Job with %q", last)
					}
				}
			}
			f.endPods()
			f.wantReplicas(0, 0, 0)
			f.wantCondition("Hibernated", "True", "Hibernated")
		})
	}
}

// TestHibernateWithoutMaintenance checks that the pods keep running if the Job fails, and
// that a paused node keeps what it has.
func TestHibernateWithoutMaintenance(t *testing.T) {
	t.Parallel()
	f := emptyFarm(t)
	f.createNode(evaluation)
	f.bringUp()
	f.hibernate(true)
	f.finish(f.maintenanceJob(begins...), false)
	f.settle()
	f.wantCondition("Degraded", "True", "MaintenanceFailed")
	f.wantCondition("Stalled", "True", "MaintenanceFailed")
	f.wantCondition("Progressing", "False", "AsExpected")
	f.wantCondition("Available", "True", "FarmersCanFarm")
	f.wantReplicas(2, 1, 1)
	f.hibernate(false)
	f.finish(f.maintenanceJob(ends...), true)
	f.settle()
	f.wantCondition("Ready", "True", "FarmersCanFarm")

	f.edit(func(s *v1.DownstreamNodeSpec) { s.Paused = true })
	f.hibernate(true)
	f.wantCondition("Hibernated", "False", "NotHibernated")
	f.wantReplicas(2, 1, 1)
	f.edit(func(s *v1.DownstreamNodeSpec) { s.Paused = false })
	f.settle()
	f.finish(f.maintenanceJob(begins...), true)
	f.settle()
	f.endPods()
	f.edit(func(s *v1.DownstreamNodeSpec) { s.Paused, s.Hibernate = true, false })
	f.settle()
	f.wantCondition("Hibernated", "True", "Hibernated")
	f.wantCondition("Available", "False", "Hibernated")
	f.wantReplicas(0, 0, 0)
}
