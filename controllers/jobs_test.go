package controllers_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/controllers"
)

// image returns the image of a Deployment's pods.
func (f *farm) image(name string) string {
	f.t.Helper()
	return f.deployment(name).Spec.Template.Spec.Containers[0].Image
}

func (f *farm) setImage(image string) {
	f.t.Helper()
	f.edit(func(s *v1.DownstreamNodeSpec) { s.Image = image })
	f.settle()
}

func TestMigrationGatesPods(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.settle()
	f.wantCondition("SchemaMigrated", "False", "Migrating")
	f.wantCondition("Progressing", "True", "Migrating")
	f.wantCondition("Ready", "False", "Migrating")
	for name := range f.objects() {
		if strings.HasPrefix(name, "Deployment/") {
			t.Errorf("%s exists before the migration", name)
		}
	}
	f.start(f.jobOf("migration"))
	f.settle()
	f.wantCondition("SchemaMigrated", "False", "Migrating")
	f.bringUp()
	f.wantCondition("SchemaMigrated", "True", "Migrated")
}

func TestPodsKeepTheirTemplateWhileTheSchemaIsMigrated(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.bringUp()
	d := f.deployment("node-workers")
	d.Spec.Template.Annotations["example.org/mine"] = "x"
	f.ok(f.Update(t.Context(), d, client.FieldOwner("somebody")))
	f.setImage("example.org/new")
	f.wantCondition("SchemaMigrated", "False", "Migrating")
	f.wantCondition("Progressing", "True", "Migrating")
	f.wantCondition("Available", "True", "FarmersCanFarm")
	if f.image("node-api") != operatorImage || f.image("node-workers") != operatorImage {
		t.Error("pods have the new image before the migration")
	}
	f.edit(func(s *v1.DownstreamNodeSpec) { s.Workers.Replicas = new(int32(3)) })
	f.settle()
	if d := f.deployment("node-workers"); *d.Spec.Replicas != 3 || f.image("node-workers") != operatorImage || d.Spec.Template.Annotations["example.org/mine"] != "x" {
		t.Errorf("scaling while the schema is migrated gives %+v", d.Spec)
	}
	f.finish(f.jobOf("migration"), true)
	f.settle()
	if f.image("node-api") != "example.org/new" || f.image("node-workers") != "example.org/new" {
		t.Error("pods do not have the new image")
	}
	if f.deployment("node-workers").Spec.Template.Annotations["example.org/mine"] != "x" {
		t.Error("a field of another manager was deleted")
	}
}

func TestMigrationFails(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.bringUp()
	f.setImage("example.org/broken")
	failed := f.jobOf("migration")
	f.finish(failed, false)
	f.settle()
	f.wantCondition("SchemaMigrated", "False", "MigrationFailed")
	f.wantCondition("Degraded", "True", "MigrationFailed")
	f.wantCondition("Progressing", "False", "AsExpected")
	if f.image("node-api") != operatorImage {
		t.Error("pods have the new image although the migration failed")
	}
	// Deleting the Job starts another attempt.
	f.ok(f.Delete(t.Context(), failed, client.PropagationPolicy(metav1.DeletePropagationBackground)))
	f.settle()
	f.wantCondition("SchemaMigrated", "False", "Migrating")
	f.finish(f.jobOf("migration"), true)
	f.settle()
	if f.image("node-api") != "example.org/broken" {
		t.Error("pods do not have the image that was asked for")
	}
}

func TestMigrationDeletedMidway(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.settle()
	job := f.jobOf("migration")
	f.start(job)
	f.ok(f.Delete(t.Context(), job, client.PropagationPolicy(metav1.DeletePropagationForeground)))
	f.ok(f.reconcile())
	f.wantCondition("SchemaMigrated", "False", "MigrationWaiting")
	f.settle() // deletes the Job
	if again := f.jobOf("migration"); again.UID == job.UID || again.Name != job.Name {
		t.Error("the Job was not made again")
	}
	f.bringUp()
	// A completed Job may be deleted.
	f.ok(f.Delete(t.Context(), f.jobOf("migration"), client.PropagationPolicy(metav1.DeletePropagationBackground)))
	f.settle()
	f.wantCondition("SchemaMigrated", "True", "Migrated")
	for name := range f.objects() {
		if strings.HasPrefix(name, "Job/") {
			t.Errorf("%s was created although the database is migrated", name)
		}
	}
}

func TestSpecChangedDuringMigration(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.bringUp()
	f.setImage("example.org/one")
	first := f.jobOf("migration")
	f.start(first)
	f.setImage("example.org/two")
	f.wantCondition("SchemaMigrated", "False", "MigrationWaiting")
	if f.jobOf("migration").UID != first.UID {
		t.Fatal("two migrations could run at the same time")
	}
	f.finish(f.jobOf("migration"), true)
	f.settle()
	second := f.jobOf("migration")
	if second.Name == first.Name || f.image("node-api") != operatorImage {
		t.Fatal("there is no second migration, or pods did not wait for it")
	}
	// The second Job has no running pod, so the operator deletes it immediately.
	f.setImage("example.org/one")
	third := f.jobOf("migration")
	if third.Name != first.Name || third.UID == first.UID {
		t.Fatal("an old migration counts as the new one")
	}
	f.finish(third, true)
	f.settle()
	if f.image("node-api") != "example.org/one" {
		t.Error("pods do not have the image that was asked for last")
	}
}

func TestWhitelist(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "whitelist: {configMapRef: {name: list}}")
	f.settle()
	f.finish(f.jobOf("migration"), true)
	f.settle()
	f.wantCondition("Degraded", "True", "WhitelistFailed")
	f.deployment("node-api") // the API runs although the whitelist is missing
	list := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "list"}, Data: map[string]string{"whitelist.csv": "address,balance\na,1\n"}}
	f.create(list)
	f.settle()
	first := f.jobOf("whitelist")
	f.wantCondition("Progressing", "True", "WhitelistLoading")
	f.finish(first, true)
	f.settle()
	if got := f.node().Status.Whitelist; got != first.Name {
		t.Errorf("the status has %q, want %s", got, first.Name)
	}
	f.setImage("example.org/new")
	f.finish(f.jobOf("migration"), true)
	f.settle()
	if f.jobOf("whitelist").UID != first.UID {
		t.Error("the same list was loaded again")
	}
	load := func(text string, well bool) *batchv1.Job {
		list.Data["whitelist.csv"] = text
		f.ok(f.Update(t.Context(), list))
		f.settle()
		job := f.jobOf("whitelist")
		f.finish(job, well)
		f.settle()
		return job
	}
	load("address,balance\nb,1\n", true)
	if again := load("address,balance\na,1\n", true); again.UID == first.UID {
		t.Error("going back to the first list does not load it")
	}
	load("nonsense", false)
	f.wantCondition("Degraded", "True", "WhitelistFailed")
	f.edit(func(s *v1.DownstreamNodeSpec) { s.Whitelist = nil })
	f.settle()
	f.wantCondition("Degraded", "False", "AsExpected")
	if f.node().Status.Whitelist != "" {
		t.Error("the status still names a whitelist")
	}
}

// TestMaintenance announces a maintenance, changes it and cancels it. The database has
// what the last Job that completed says.
func TestMaintenance(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.bringUp()
	if f.jobOfOrNil("maintenance") != nil || f.node().Status.Maintenance != "" {
		t.Fatal("a node without spec.maintenance has a Job for it")
	}
	declare := func(m *v1.MaintenanceSpec, want ...string) *batchv1.Job {
		t.Helper()
		f.edit(func(s *v1.DownstreamNodeSpec) { s.Maintenance = m })
		f.settle()
		job := f.jobOf("maintenance")
		f.wantCondition("Progressing", "True", "MaintenanceChanging")
		f.wantCondition("Available", "True", "FarmersCanFarm")
		if got := job.Spec.Template.Spec.Containers[0].Args; !slices.Equal(got[:len(got)-2], append([]string{"maintenance", "declare"}, want...)) {
			t.Errorf("the Job runs %q, want %q", got, want)
		}
		return job
	}
	done := func(job *batchv1.Job) {
		f.finish(job, true)
		f.settle()
		f.wantCondition("Progressing", "False", "AsExpected")
	}
	first := declare(&v1.MaintenanceSpec{Start: "2026-01-01T01:00:00Z", Duration: "2h", Reason: "a $(NEW) disk"},
		"--start", "2026-01-01T01:00:00Z", "--for", "2h", "--reason=a $$(NEW) disk")
	if got := f.node().Status.Maintenance; got != "pending" {
		t.Errorf("the status has %q before the Job has completed", got)
	}
	f.events()
	done(first)
	f.wantFaultEvent("Normal MaintenancePlanned A maintenance is planned from 2026-01-01T01:00:00Z to 2026-01-01T03:00:00Z.")
	if got := f.node().Status.Maintenance; got != first.Name {
		t.Errorf("the status has %q, want %s", got, first.Name)
	}
	f.maintenances = []controllers.Maintenance{{Start: f.clock.Add(time.Hour).Unix(), End: f.clock.Add(3 * time.Hour).Unix(), Reason: "a disk"}}
	f.clock = f.clock.Add(30 * time.Second)
	f.settle()
	f.wantCondition("Faulty", "False", "NoFault")
	f.wantMessage("Faulty", "A maintenance is planned from 2026-01-01T01:00:00Z to 2026-01-01T03:00:00Z: a disk.")

	second := declare(&v1.MaintenanceSpec{Start: "2026-01-01T00:03:00Z", Duration: "1h"}, "--start", "2026-01-01T00:03:00Z", "--for", "1h")
	f.events()
	done(second)
	f.wantFaultEvent("Warning MaintenanceSoon The maintenance starts earlier than one interval (5m0s)")

	// It has begun.
	f.clock = time.Date(2026, 1, 1, 0, 4, 0, 0, time.UTC)
	f.maintenances = []controllers.Maintenance{{Start: f.clock.Unix(), End: f.clock.Add(time.Hour).Unix(), Reason: "a disk"}}
	f.faults = []controllers.Fault{{Start: f.clock.Unix(), Cause: "maintenance", Evidence: "a disk"}}
	f.settle()
	f.wantCondition("Faulty", "True", "Maintenance")
	f.wantFaultEvent("Normal Maintenance Faulty is True")
	if got := f.message("Faulty"); strings.Contains(got, "is planned") {
		t.Errorf("the message says that the maintenance is planned: %s", got)
	}
	f.wantCondition("Degraded", "False", "AsExpected")
	f.faults, f.maintenances = nil, nil

	f.finish(declare(nil, "--none"), false)
	f.settle()
	f.wantCondition("Degraded", "True", "MaintenanceFailed")
	f.ok(f.Delete(t.Context(), f.jobOf("maintenance"), client.PropagationPolicy(metav1.DeletePropagationBackground)))
	f.settle()
	done(f.jobOf("maintenance"))
	f.wantCondition("Degraded", "False", "AsExpected")
	if f.jobOfOrNil("maintenance") != nil || f.node().Status.Maintenance != "" {
		t.Error("a Job or the status is left of a maintenance that was cancelled")
	}
}

// TestMaintenanceCancelledEarly cancels a maintenance whose Job has not completed. The
// database may have the maintenance, so a second Job cancels it.
func TestMaintenanceCancelledEarly(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "maintenance: {start: '2026-01-01T01:00:00Z', duration: 2h}")
	f.bringUp()
	f.start(f.jobOf("maintenance"))
	f.edit(func(s *v1.DownstreamNodeSpec) { s.Maintenance = nil })
	f.settle()
	job := f.jobOf("maintenance")
	if args := job.Spec.Template.Spec.Containers[0].Args; slices.Contains(args, "--none") {
		t.Error("a second Job runs at the same time")
	}
	f.finish(job, true)
	f.settle()
	job = f.jobOf("maintenance")
	if args := job.Spec.Template.Spec.Containers[0].Args; !slices.Contains(args, "--none") {
		t.Errorf("the Job runs %q", args)
	}
	f.finish(job, true)
	f.settle()
	if f.jobOfOrNil("maintenance") != nil || f.node().Status.Maintenance != "" {
		t.Error("a Job or the status is left of a maintenance that was cancelled")
	}
}

// TestConfigHash checks which changes replace pods.
func TestConfigHash(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.bringUp()
	templates := func() [2]int64 {
		return [2]int64{f.deployment("node-api").Generation, f.deployment("node-workers").Generation}
	}
	check := func(what string, api, workers bool, change func()) {
		t.Helper()
		before := templates()
		change()
		f.settle()
		for _, job := range []string{"migration"} {
			if state := f.jobOfOrNil(job); state != nil && len(state.Status.Conditions) == 0 {
				f.finish(state, true)
				f.settle()
			}
		}
		after := templates()
		if (after[0] != before[0]) != api || (after[1] != before[1]) != workers {
			t.Errorf("%s: generations of API and workers go from %v to %v", what, before, after)
		}
	}
	secret := func(key, value string) func() {
		return func() {
			f.ok(f.Patch(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "backends"}},
				client.RawPatch("application/merge-patch+json", []byte(`{"stringData":{"`+key+`":"`+value+`"}}`))))
		}
	}
	spec := func(change func(*v1.DownstreamNodeSpec)) func() { return func() { f.edit(change) } }
	check("a key of the Secret that is not read", false, false, secret("unread", "y"))
	check("the data source name", true, true, secret("dsn", "u:q@tcp(mysql)/d"))
	check("the Redis URL", true, true, secret("url", "redis://other"))
	check("a limit", true, true, spec(func(s *v1.DownstreamNodeSpec) { s.Contracts.TokensPerIP = 6 }))
	check("the same limit", false, false, spec(func(s *v1.DownstreamNodeSpec) { s.Contracts.TokensPerIP = 6 }))
	check("the proxies", true, false, spec(func(s *v1.DownstreamNodeSpec) { s.API.TrustedProxies = []string{"10.0.0.0/8"} }))
	check("the inventory", false, true, spec(func(s *v1.DownstreamNodeSpec) { s.Inventory.TotalSize = "2Gi" }))
	check("the Service", false, false, spec(func(s *v1.DownstreamNodeSpec) { s.API.Service.Port = 81 }))
	check("monitoring", false, false, spec(func(s *v1.DownstreamNodeSpec) { s.Monitoring.ServiceMonitor.IntervalSeconds = 5 }))
	check("a label of the node", false, false, func() {
		node := f.node()
		node.Labels = map[string]string{"x": "y"}
		f.ok(f.Update(t.Context(), node))
	})
	f.run("node-api")
	f.run("node-workers")
	f.settle()
	configs := 0
	for name := range f.objects() {
		if strings.HasPrefix(name, "ConfigMap/") {
			configs++
		}
	}
	if configs != 3 {
		t.Errorf("there are %d configurations, want one each for API, workers and migration", configs)
	}
}

func (f *farm) jobOfOrNil(role string) *batchv1.Job {
	f.t.Helper()
	jobs := &batchv1.JobList{}
	f.ok(f.List(f.t.Context(), jobs, client.InNamespace(f.namespace), client.MatchingLabels{"app.kubernetes.io/component": role}))
	if len(jobs.Items) == 0 {
		return nil
	}
	return &jobs.Items[0]
}
