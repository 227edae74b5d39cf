package controllers

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/driveshare/downstream-node/api/v1"
)

var (
	key        = &keyFact{secret: "k"}
	running    = pool{found: true, desired: 2, running: 2, ready: 2, available: 2, settled: true, rolledOut: true}
	rolling    = pool{found: true, desired: 2, running: 3, ready: 2, available: 2}
	down       = pool{found: true, desired: 2, running: 2, rolledOut: true}
	partly     = pool{found: true, desired: 2, running: 2, ready: 1, available: 1, rolledOut: true}
	stuck      = pool{found: true, desired: 2, running: 2, stalled: "it has timed out"}
	none       = pool{found: true, settled: true, rolledOut: true}
	noDatabase = changed(down, func(p *pool) {
		p.reports = []report{{"p", map[string]string{"database": "read-only", "schema": "read-only", "redis": "ok"}}}
	})
	noRedis = changed(down, func(p *pool) { p.reports = []report{{"p", map[string]string{"database": "ok", "redis": "OOM"}}} })
	done    = jobState{phase: jobComplete, name: "j"}
	well    = facts{key: key, migration: done, api: running, workers: running}

	end       = int64(1_800_000_060)
	oldFault  = Fault{Start: 1_800_000_000, End: &end, Cause: "down", Evidence: "no process could judge proofs"}
	openFault = Fault{Start: 1_800_000_600, Cause: "failing", Evidence: "31 of 40 proofs failed"}
)

// changed returns f with a change.
func changed[T any](f T, change func(*T)) T {
	change(&f)
	return f
}

// faulted returns a node that works, and what was read of its faults.
func faulted(read *faultsRead) facts { return changed(well, func(f *facts) { f.faults = read }) }

// TestVerdicts checks the function of each condition.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	lost := &blocked{ReasonKeyMissing, "the key is gone"}
	tests := []struct {
		condition string
		name      string
		facts     facts
		want      string // status and reason; empty if the condition does not change
	}{
		{v1.HeartbeatKeyAvailable, "not looked at", facts{}, ""},
		{v1.HeartbeatKeyAvailable, "found", well, "True KeyFound"},
		{v1.HeartbeatKeyAvailable, "gone", facts{key: &keyFact{problem: lost}, blocked: lost}, "False KeyMissing"},

		{v1.SchemaMigrated, "not looked at", facts{}, ""},
		{v1.SchemaMigrated, "complete", well, "True Migrated"},
		{v1.SchemaMigrated, "running", facts{migration: jobState{phase: jobRunning}}, "False Migrating"},
		{v1.SchemaMigrated, "waiting", facts{migration: jobState{phase: jobWaiting}}, "False MigrationWaiting"},
		{v1.SchemaMigrated, "failed", facts{migration: jobState{phase: jobFailed}}, "False MigrationFailed"},

		{v1.APIAvailable, "not there", facts{}, "False NotCreated"},
		{v1.APIAvailable, "running", well, "True ReplicasAvailable"},
		{v1.APIAvailable, "rolling", facts{api: rolling}, "True ReplicasAvailable"},
		{v1.APIAvailable, "down", facts{api: down}, "False NoneAvailable"},
		{v1.APIAvailable, "without its Service", changed(well, func(f *facts) { f.noService = true }), "False ServiceMissing"},
		{v1.APIAvailable, "none asked for", facts{api: none}, "False ScaledToZero"},

		{v1.APIAvailable, "hibernated", facts{hibernation: hibernated}, "False Hibernated"},
		{v1.APIAvailable, "hibernating", changed(well, func(f *facts) { f.hibernation = hibernating }), "True ReplicasAvailable"},
		{v1.APIAvailable, "ending", facts{hibernation: hibernating, api: none}, "False Hibernated"},

		{v1.WorkersAvailable, "hibernated", facts{hibernation: hibernated, workers: none}, "False Hibernated"},
		{v1.WorkersAvailable, "not there", facts{}, "False NotCreated"},
		{v1.WorkersAvailable, "running", well, "True ReplicasAvailable"},
		{v1.WorkersAvailable, "down", facts{workers: down}, "False NoneAvailable"},
		{v1.WorkersAvailable, "none asked for", facts{workers: none}, "True ScaledToZero"},

		{v1.DatabaseAvailable, "no pod", facts{}, ""},
		{v1.DatabaseAvailable, "no pod has checked", facts{api: down}, ""},
		{v1.DatabaseAvailable, "ready pods", well, "True Usable"},
		{v1.DatabaseAvailable, "a pod that lacks Redis only", changed(well, func(f *facts) { f.api, f.workers = noRedis, pool{} }), "True Usable"},
		{v1.DatabaseAvailable, "a pod that lacks it", changed(well, func(f *facts) { f.workers = noDatabase }), "False DatabaseUnavailable"},
		{v1.QueueAvailable, "ready pods", well, "True Usable"},
		{v1.QueueAvailable, "a pod that lacks it", changed(well, func(f *facts) { f.api = noRedis }), "False QueueUnavailable"},

		{v1.Faulty, "not read", well, ""},
		{v1.Faulty, "no response", faulted(&faultsRead{err: errors.New("timeout")}), "Unknown FaultsUnknown"},
		{v1.Faulty, "never", faulted(&faultsRead{}), "False NoFault"},
		{v1.Faulty, "over", faulted(&faultsRead{Faults: Faults{Faults: []Fault{oldFault}}}), "False FaultOver"},
		{v1.Faulty, "open", faulted(&faultsRead{Faults: Faults{Faults: []Fault{openFault, oldFault}}}), "True Failing"},
		{v1.Faulty, "a maintenance", faulted(&faultsRead{Faults: Faults{Faults: []Fault{{Cause: "maintenance"}}}}), "True Maintenance"},
		{v1.Faulty, "an unknown cause", faulted(&faultsRead{Faults: Faults{Faults: []Fault{{Cause: "a b"}}}}), "True OtherFault"},

		{v1.Hibernated, "awake", well, "False NotHibernated"},
		{v1.Hibernated, "hibernating", facts{hibernation: hibernating}, "False Hibernating"},
		{v1.Hibernated, "hibernated", facts{hibernation: hibernated}, "True Hibernated"},
		{v1.Hibernated, "waking", facts{hibernation: waking}, "False WakingUp"},

		{v1.Progressing, "hibernating", changed(well, func(f *facts) { f.hibernation = hibernating }), "True Hibernating"},
		{v1.Progressing, "hibernated", facts{hibernation: hibernated, api: none, workers: none}, "False AsExpected"},
		{v1.Progressing, "waking", changed(well, func(f *facts) { f.hibernation = waking }), "True WakingUp"},
		{v1.Progressing, "at rest", well, "False AsExpected"},
		{v1.Progressing, "migrating", changed(well, func(f *facts) { f.migration.phase = jobRunning }), "True Migrating"},
		{v1.Progressing, "waiting to migrate", changed(well, func(f *facts) { f.migration.phase = jobWaiting }), "True Migrating"},
		{v1.Progressing, "a failed migration", changed(well, func(f *facts) { f.migration.phase = jobFailed }), "False AsExpected"},
		{v1.Progressing, "loading", changed(well, func(f *facts) { f.whitelist.phase = jobRunning }), "True WhitelistLoading"},
		{v1.Progressing, "announcing", changed(well, func(f *facts) { f.maintenance.phase = jobRunning }), "True MaintenanceChanging"},
		{v1.Progressing, "rolling", changed(well, func(f *facts) { f.api = rolling }), "True RollingOut"},
		{v1.Progressing, "workers rolling", changed(well, func(f *facts) { f.workers = rolling }), "True RollingOut"},
		{v1.Progressing, "a pod that fails after its rollout", changed(well, func(f *facts) { f.api = partly }), "False AsExpected"},
		{v1.Progressing, "an API server that fails", changed(well, func(f *facts) { f.unfinished = "timeout" }), ""},
		{v1.Progressing, "an API server that fails before the spec is applied", changed(well, func(f *facts) { f.unfinished, f.outdated = "timeout", true }), "True Applying"},
		{v1.Progressing, "stalled", changed(well, func(f *facts) { f.api = stuck }), "False AsExpected"},
		{v1.Progressing, "blocked", changed(well, func(f *facts) { f.blocked = lost; f.api = rolling }), "False AsExpected"},
		{v1.Progressing, "paused", changed(well, func(f *facts) { f.paused = true; f.api = rolling }), "False AsExpected"},

		{v1.Degraded, "at rest", well, "False AsExpected"},
		{v1.Degraded, "an open fault", faulted(&faultsRead{Faults: Faults{Faults: []Fault{openFault}}}), "True Failing"},
		{v1.Degraded, "a maintenance", faulted(&faultsRead{Faults: Faults{Faults: []Fault{{Cause: "maintenance"}}}}), "False AsExpected"},
		{v1.Degraded, "a fault that is over", faulted(&faultsRead{Faults: Faults{Faults: []Fault{oldFault}}}), "False AsExpected"},
		{v1.Degraded, "a fault because no worker is wanted", changed(faulted(&faultsRead{Faults: Faults{Faults: []Fault{openFault}}}), func(f *facts) { f.workers = none }), "False AsExpected"},
		{v1.Degraded, "rolling", changed(well, func(f *facts) { f.api = rolling }), "False AsExpected"},
		{v1.Degraded, "blocked", changed(well, func(f *facts) { f.blocked = lost }), "True KeyMissing"},
		{v1.Degraded, "a failed migration", changed(well, func(f *facts) { f.migration.phase = jobFailed }), "True MigrationFailed"},
		{v1.Degraded, "one failed attempt to migrate", changed(well, func(f *facts) { f.migration = jobState{phase: jobRunning, failed: 1} }), "False AsExpected"},
		{v1.Degraded, "failed attempts to migrate", changed(well, func(f *facts) { f.migration = jobState{phase: jobRunning, failed: 2} }), "True MigrationFailing"},
		{v1.Degraded, "failed attempts of before", changed(well, func(f *facts) { f.migration.failed = 2 }), "False AsExpected"},
		{v1.Degraded, "failed attempts to load", changed(well, func(f *facts) { f.whitelist = jobState{phase: jobRunning, failed: 2} }), "True WhitelistFailing"},
		{v1.Degraded, "no image for the migration", changed(well, func(f *facts) {
			f.migration = jobState{phase: jobRunning, trouble: troubled(ReasonImagePullFailed, "x")}
		}), "True ImagePullFailed"},
		{v1.Degraded, "no image for the workers", changed(well, func(f *facts) { f.workers.trouble = troubled(ReasonImagePullFailed, "x") }), "True ImagePullFailed"},
		{v1.Degraded, "a failed whitelist", changed(well, func(f *facts) { f.whitelist.phase = jobFailed }), "True WhitelistFailed"},
		{v1.Degraded, "stalled API", changed(well, func(f *facts) { f.api = stuck }), "True RolloutStalled"},
		{v1.Degraded, "stalled workers", changed(well, func(f *facts) { f.workers = stuck }), "True RolloutStalled"},
		{v1.Degraded, "an unknown kind", changed(well, func(f *facts) { f.unknownKinds = []string{"HTTPRoute"} }), "True KindUnknown"},
		{v1.Degraded, "an outage of the database", changed(well, func(f *facts) { f.api, f.workers = noDatabase, noDatabase }), "True DatabaseUnavailable"},
		{v1.Degraded, "an outage of Redis", changed(well, func(f *facts) { f.api = noRedis }), "True QueueUnavailable"},
		{v1.Degraded, "pods that nobody can ask", changed(well, func(f *facts) { f.api = down }), "True NoneAvailable"},
		{v1.Degraded, "a pod that starts", changed(well, func(f *facts) {
			f.api.reports = []report{{"p", map[string]string{"process": "starting", "database": "ok"}}}
		}), "False AsExpected"},
		{v1.Degraded, "another failed check", changed(well, func(f *facts) { f.api.reports = []report{{"p", map[string]string{"clock": "10 s ahead"}}} }), "True PodNotReady"},
		{v1.Degraded, "an API server that fails", changed(well, func(f *facts) { f.unfinished = "timeout" }), ""},
		{v1.Degraded, "paused", changed(well, func(f *facts) { f.paused = true }), ""},

		{v1.Paused, "paused", facts{paused: true}, "True Paused"},
		{v1.Paused, "not paused", facts{}, "False NotPaused"},
	}
	for _, tt := range tests {
		t.Run(tt.condition+"/"+tt.name, func(t *testing.T) {
			t.Parallel()
			for _, v := range verdicts {
				if v.condition != tt.condition {
					continue
				}
				got := ""
				if v := v.of(tt.facts); v.reason != "" {
					got = string(v.status) + " " + v.reason
				}
				if got != tt.want {
					t.Errorf("it is %q, want %q", got, tt.want)
				}
			}
		})
	}
}

// TestReady checks Available, Ready, and which of Reconciling and Stalled exists.
func TestReady(t *testing.T) {
	t.Parallel()
	lost := &blocked{ReasonSecretMissing, "the Secret is gone"}
	tests := []struct {
		name      string
		facts     []facts // the facts of each reconcile, in order
		available string
		// ready is the reason of a false Ready, after R for Reconciling or S for Stalled.
		// If it is empty, Ready is true.
		ready string
	}{
		{"all is well", []facts{well}, "True FarmersCanFarm", ""},
		{"most proofs fail", []facts{faulted(&faultsRead{Faults: Faults{Faults: []Fault{openFault}}})}, "False Failing", "Failing"},
		{"a fault of another cause", []facts{faulted(&faultsRead{Faults: Faults{Faults: []Fault{{Start: 1, Cause: "down"}}}})}, "True FarmersCanFarm", ""},
		{"new", []facts{{}}, "False NotCreated", "NotCreated"},
		{"new and blocked", []facts{{key: key, blocked: lost}}, "False SecretMissing", "S SecretMissing"},
		{"blocked later, while farmers farm", []facts{well, {key: key, blocked: lost, api: running, workers: running}}, "True FarmersCanFarm", "S SecretMissing"},
		{"blocked and solved", []facts{{key: key, blocked: lost}, well}, "True FarmersCanFarm", ""},
		{"paused", []facts{well, {paused: true, api: running, workers: running}}, "True FarmersCanFarm", ""},
		{"paused while it is blocked", []facts{well, {paused: true, blocked: lost, api: running, workers: running}}, "True FarmersCanFarm", ""},
		{"paused and down", []facts{well, {paused: true, api: down, workers: running}}, "False NoneAvailable", "NoneAvailable"},
		{"migrating for the first time", []facts{changed(well, func(f *facts) { f.migration.phase = jobRunning; f.api, f.workers = pool{}, pool{} })}, "False Migrating", "R Migrating"},
		{"migrating for another image", []facts{changed(well, func(f *facts) { f.migration.phase = jobRunning })}, "True FarmersCanFarm", "R Migrating"},
		{"migrating while the API is down", []facts{changed(well, func(f *facts) { f.migration.phase = jobRunning; f.api = down })}, "False NoneAvailable", "R NoneAvailable"},
		{"a failed migration for another image", []facts{changed(well, func(f *facts) { f.migration.phase = jobFailed })}, "True FarmersCanFarm", "S MigrationFailed"},
		{"a failed first migration", []facts{changed(well, func(f *facts) { f.migration.phase = jobFailed; f.api, f.workers = pool{}, pool{} })}, "False MigrationFailed", "S MigrationFailed"},
		{"another image that cannot be pulled", []facts{well, changed(well, func(f *facts) {
			f.migration = jobState{phase: jobRunning, trouble: troubled(ReasonImagePullFailed, "x")}
		})}, "True FarmersCanFarm", "S ImagePullFailed"},
		{"an unknown kind and no API", []facts{changed(well, func(f *facts) { f.unknownKinds = []string{"HTTPRoute"}; f.api = none })}, "False ScaledToZero", "ScaledToZero"},
		{"an unknown kind", []facts{changed(well, func(f *facts) { f.unknownKinds = []string{"ServiceMonitor"} })}, "True FarmersCanFarm", ""},
		{"a failed whitelist", []facts{changed(well, func(f *facts) { f.whitelist.phase = jobFailed })}, "True FarmersCanFarm", "S WhitelistFailed"},
		{"a failed whitelist and no API", []facts{changed(well, func(f *facts) { f.whitelist.phase = jobFailed; f.api = down })}, "False NoneAvailable", "S NoneAvailable"},
		{"stalled workers and no API", []facts{changed(well, func(f *facts) { f.workers = stuck; f.workers.available = 1; f.api = none })}, "False ScaledToZero", "S ScaledToZero"},
		{"a stalled API", []facts{changed(well, func(f *facts) { f.api = stuck })}, "False RolloutStalled", "S RolloutStalled"},
		{"a stalled API with old pods", []facts{changed(well, func(f *facts) { f.api = stuck; f.api.available = 2 })}, "True FarmersCanFarm", "S RolloutStalled"},
		{"rolling", []facts{changed(well, func(f *facts) { f.api = rolling })}, "True FarmersCanFarm", "R RollingOut"},
		{"rolled out", []facts{changed(well, func(f *facts) { f.api = rolling }), well}, "True FarmersCanFarm", ""},
		{"a pod that fails after its rollout", []facts{well, changed(well, func(f *facts) { f.api = partly })}, "True FarmersCanFarm", ""},
		{"an outage of the database", []facts{well, changed(well, func(f *facts) { f.api, f.workers = noDatabase, noDatabase })}, "False DatabaseUnavailable", "DatabaseUnavailable"},
		{"new pods without a database", []facts{well, changed(well, func(f *facts) { f.api = rolling; f.api.reports = noDatabase.reports })}, "True FarmersCanFarm", "S DatabaseUnavailable"},
		{"an API server that fails", []facts{well, {unfinished: "timeout", api: running, workers: running}}, "True FarmersCanFarm", ""},
		{"an API server that fails during a rollout", []facts{changed(well, func(f *facts) { f.api = rolling }), {unfinished: "timeout", api: rolling, workers: running}}, "True FarmersCanFarm", "R RollingOut"},
		{"an API server that fails before the spec is applied", []facts{well, {unfinished: "timeout", outdated: true, api: running, workers: running}}, "True FarmersCanFarm", "R Applying"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			conditions := []metav1.Condition{{Type: "example.org/Foreign", Status: "True", Reason: "R"}}
			for _, f := range tt.facts {
				setConditions(&conditions, f, 7)
			}
			c := meta.FindStatusCondition(conditions, v1.Available)
			if got := string(c.Status) + " " + c.Reason; got != tt.available {
				t.Errorf("Available is %s, want %s", got, tt.available)
			}
			got := ""
			for letter, condition := range map[string]string{"R ": v1.Reconciling, "S ": v1.Stalled} {
				if c := meta.FindStatusCondition(conditions, condition); c != nil {
					got += letter
					if c.Status != "True" {
						t.Errorf("%s exists with the status %s", condition, c.Status)
					}
				}
			}
			c = meta.FindStatusCondition(conditions, v1.Ready)
			if c.Status != "True" {
				got += c.Reason
			}
			if got != tt.ready {
				t.Errorf("Ready and its reason are %q, want %q", got, tt.ready)
			}
			if meta.FindStatusCondition(conditions, "example.org/Foreign") == nil {
				t.Error("the foreign condition was deleted")
			}
			for _, condition := range v1.ConditionTypes {
				exists := condition != v1.Reconciling && condition != v1.Stalled
				if c := meta.FindStatusCondition(conditions, condition); c == nil && exists || c != nil && (c.Reason == "" || c.Message == "") {
					t.Errorf("%s is %+v", condition, c)
				}
			}
		})
	}
}

// TestTransitions checks that only changes cause events.
func TestTransitions(t *testing.T) {
	t.Parallel()
	after := func(fs ...facts) []metav1.Condition {
		var conditions []metav1.Condition
		for _, f := range fs {
			setConditions(&conditions, f, 1)
		}
		return conditions
	}
	if notes := transitions(after(well), after(well, well)); len(notes) > 0 {
		t.Errorf("without a change: %v", notes)
	}
	notes := transitions(after(well), after(well, changed(well, func(f *facts) { f.migration = jobState{phase: jobFailed, name: "j"} })))
	severities := map[string]string{}
	for _, n := range notes {
		severities[n.reason] = n.severity
	}
	if len(notes) != 3 || severities[ReasonMigrationFailed] != "Warning" {
		t.Errorf("of a failed migration: %v", notes)
	}
	for _, n := range transitions(nil, after(changed(well, func(f *facts) { f.migration.phase = jobRunning }))) {
		if n.severity != "Normal" {
			t.Errorf("of a new node: %v", n)
		}
	}
}

// TestFaultTransitions checks that each fault causes one event when it begins and one when
// it ends, also if the operator cannot read the faults for some time.
func TestFaultTransitions(t *testing.T) {
	t.Parallel()
	now := time.Now().Unix()
	before, after := now-3600, now+60
	unread := faulted(&faultsRead{err: errors.New("timeout")})
	never := faulted(&faultsRead{})
	open := faulted(&faultsRead{Faults: Faults{Faults: []Fault{{Start: now, Cause: "down"}}}})
	old := faulted(&faultsRead{Faults: Faults{Faults: []Fault{{Start: before - 60, End: &before, Cause: "down"}}}})
	over := faulted(&faultsRead{Faults: Faults{Faults: []Fault{{Start: now, End: &after, Cause: "down"}, {Start: before - 60, End: &before, Cause: "down"}}}})
	tests := []struct {
		name  string
		facts []facts
		want  string // the events of the last reconcile
	}{
		{"a new node", []facts{never}, ""},
		{"a database with an old fault", []facts{unread, old}, ""},
		{"a fault begins", []facts{old, open}, "Warning Down"},
		{"a fault lasts", []facts{open, open}, ""},
		{"a fault ends", []facts{open, over}, "Normal FaultOver"},
		{"a fault that nobody saw", []facts{old, over}, "Normal FaultOver"},
		{"a fault in which no API replica responded", []facts{old, unread, over}, "Normal FaultOver"},
		{"no response for some time", []facts{old, unread, old}, ""},
		{"no response", []facts{open, unread}, ""},
		{"a restored database without faults", []facts{old, never}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var conditions, last []metav1.Condition
			for _, f := range tt.facts {
				last = slices.Clone(conditions)
				setConditions(&conditions, f, 1)
			}
			got := ""
			for _, n := range transitions(last, conditions) {
				if strings.HasPrefix(n.message, v1.Faulty+" is ") {
					got += n.severity + " " + n.reason
				}
			}
			if got != tt.want {
				t.Errorf("the events are %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWantedWorkers(t *testing.T) {
	t.Parallel()
	a := &v1.WorkersAutoscaling{Min: new(int32(1)), Max: 5, TargetBacklogPerWorker: 10}
	for backlog, want := range map[int64]int32{-1: 1, 0: 1, 1: 1, 10: 1, 11: 2, 50: 5, 51: 5, 1 << 62: 5} {
		if got := wantedWorkers(a, backlog); got != want {
			t.Errorf("for %d jobs %d workers are wanted, want %d", backlog, got, want)
		}
	}
	a.Min = new(int32(0))
	for backlog, want := range map[int64]int32{0: 0, 1: 1} {
		if got := wantedWorkers(a, backlog); got != want {
			t.Errorf("down to none, for %d jobs %d workers are wanted, want %d", backlog, got, want)
		}
	}
}
