package controllers

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/driveshare/downstream-node/api/v1"
)

// The reasons of conditions. An event about a condition has the condition's reason.
const (
	ReasonAsExpected          = "AsExpected"
	ReasonOwnershipConflict   = "OwnershipConflict"
	ReasonApplyFailed         = "ApplyFailed"
	ReasonPodTemplateInvalid  = "PodTemplateInvalid"
	ReasonSecretMissing       = "SecretMissing"
	ReasonDSNInvalid          = "DSNInvalid"
	ReasonKeyFound            = "KeyFound"
	ReasonKeyMissing          = "KeyMissing"
	ReasonKeyChanged          = "KeyChanged"
	ReasonKeyInvalid          = "KeyInvalid"
	ReasonMigrated            = "Migrated"
	ReasonMigrating           = "Migrating"
	ReasonMigrationWaiting    = "MigrationWaiting"
	ReasonMigrationFailed     = "MigrationFailed"
	ReasonMigrationFailing    = "MigrationFailing"
	ReasonWhitelistFailing    = "WhitelistFailing"
	ReasonImagePullFailed     = "ImagePullFailed"
	ReasonPodNotStarted       = "PodNotStarted"
	ReasonPodCrashes          = "PodCrashes"
	ReasonPodUnschedulable    = "PodUnschedulable"
	ReasonPodsRefused         = "PodsRefused"
	ReasonWhitelistFailed     = "WhitelistFailed"
	ReasonWhitelistLoading    = "WhitelistLoading"
	ReasonReplicasAvailable   = "ReplicasAvailable"
	ReasonNoneAvailable       = "NoneAvailable"
	ReasonServiceMissing      = "ServiceMissing"
	ReasonNotCreated          = "NotCreated"
	ReasonScaledToZero        = "ScaledToZero"
	ReasonUsable              = "Usable"
	ReasonDatabaseUnavailable = "DatabaseUnavailable"
	ReasonQueueUnavailable    = "QueueUnavailable"
	ReasonPodNotReady         = "PodNotReady"
	ReasonRollingOut          = "RollingOut"
	ReasonRolloutStalled      = "RolloutStalled"
	ReasonKindUnknown         = "KindUnknown"
	ReasonPaused              = "Paused"
	ReasonNotPaused           = "NotPaused"
	ReasonNotHibernated       = "NotHibernated"
	ReasonHibernating         = "Hibernating"
	ReasonHibernated          = "Hibernated"
	ReasonWakingUp            = "WakingUp"
	ReasonFarmersCanFarm      = "FarmersCanFarm"
	ReasonNotReached          = "NotReached"
	ReasonApplying            = "Applying"
	ReasonDown                = "Down"
	ReasonFailing             = "Failing"
	ReasonUnreachable         = "Unreachable"
	ReasonMaintenance         = "Maintenance"
	ReasonMaintenancePlanned  = "MaintenancePlanned"
	ReasonMaintenanceSoon     = "MaintenanceSoon"
	ReasonMaintenanceChanging = "MaintenanceChanging"
	ReasonMaintenanceFailed   = "MaintenanceFailed"
	ReasonMaintenanceFailing  = "MaintenanceFailing"
	ReasonBackupFailed        = "BackupFailed"
	ReasonBackupOverdue       = "BackupOverdue"
	ReasonOtherFault          = "OtherFault"
	ReasonFaultOver           = "FaultOver"
	ReasonNoFault             = "NoFault"
	ReasonFaultsUnknown       = "FaultsUnknown"
)

// facts holds what a reconcile observed. Every condition is computed from it.
type facts struct {
	paused      bool
	hibernation hibernation
	blocked     *blocked
	// unfinished says why the other facts do not show yet whether the current spec is in
	// effect: the phases stopped early, but not by blocked, or a Deployment is unread.
	unfinished string
	// outdated reports that the phases stopped before the current spec was applied.
	outdated     bool
	key          *keyFact // nil until the operator has checked the key
	migration    jobState
	whitelist    jobState
	maintenance  jobState
	backup       *trouble // nil if no trouble with the backups was found
	api, workers pool
	mysql, redis *evaluation // nil if the node has no such database
	noService    bool        // farmers have no way to the API
	faults       *faultsRead // nil until the operator has read the faults
	unknownKinds []string    // wanted kinds that the cluster does not know
}

// atRest reports whether no pod starts, ends or fails, as far as the operator knows.
func (f facts) atRest() bool {
	for _, p := range []pool{f.api, f.workers} {
		if p.found && !p.settled {
			return false
		}
	}
	for _, e := range []*evaluation{f.mysql, f.redis} {
		if e != nil && !e.ready {
			return false
		}
	}
	if f.hibernation == hibernating || f.hibernation == waking {
		return false
	}
	return f.migration.phase != jobRunning && f.whitelist.phase != jobRunning && f.maintenance.phase != jobRunning
}

// keyFact is the result of the check of the heartbeat keys.
type keyFact struct {
	secret   string   // of the newest key
	problem  *blocked // nil if the keys exist and are correct
	progress string   // sentences about the older keys
}

// pool is the state of a Deployment.
type pool struct {
	found     bool
	desired   int32
	running   int32
	ready     int32
	available int32
	unread    bool   // Kubernetes has not read the newest spec of the Deployment yet
	settled   bool   // every pod has the newest template and is available
	rolledOut bool   // the newest template has replaced every older one
	stalled   string // why the rollout does not progress; empty if it progresses
	trouble   *trouble
	reports   []report // of pods that run but are not ready
	unasked   error    // why no such pod responded
}

// verdict is a condition without its time. A verdict without a reason does not
// change the condition.
type verdict struct {
	status          metav1.ConditionStatus
	reason, message string
	since           int64 // when the status became true or false, in Unix seconds; 0 means now
}

func yes(reason, format string, args ...any) verdict {
	return verdict{status: metav1.ConditionTrue, reason: reason, message: fmt.Sprintf(format, args...)}
}

func no(reason, format string, args ...any) verdict {
	return verdict{status: metav1.ConditionFalse, reason: reason, message: fmt.Sprintf(format, args...)}
}

// verdicts lists every condition except those that depend on other conditions.
var verdicts = []struct {
	condition string
	of        func(facts) verdict
}{
	{v1.HeartbeatKeyAvailable, keyAvailable},
	{v1.SchemaMigrated, schemaMigrated},
	{v1.APIAvailable, apiAvailable},
	{v1.WorkersAvailable, workersAvailable},
	{v1.DatabaseAvailable, databaseAvailable},
	{v1.QueueAvailable, queueAvailable},
	{v1.Faulty, faulty},
	{v1.Progressing, progressing},
	{v1.Degraded, degraded},
	{v1.Paused, paused},
	{v1.Hibernated, hibernates},
}

// setConditions updates the operator's conditions. It keeps conditions of other
// types.
func setConditions(conditions *[]metav1.Condition, f facts, generation int64) {
	set := func(condition string, v verdict) {
		if v.reason == "" {
			if meta.FindStatusCondition(*conditions, condition) != nil {
				return
			}
			v = verdict{status: metav1.ConditionUnknown, reason: ReasonNotReached, message: "Not checked yet."}
		}
		c := metav1.Condition{Type: condition, Status: v.status, Reason: v.reason, Message: v.message, ObservedGeneration: generation}
		if v.since != 0 {
			c.LastTransitionTime = metav1.Unix(v.since, 0)
		}
		meta.SetStatusCondition(conditions, c)
	}
	for _, v := range verdicts {
		set(v.condition, v.of(f))
	}
	found := problems(f)
	set(v1.Available, farming(*conditions, found))
	for _, v := range []struct {
		condition string
		verdict   verdict
	}{{v1.Stalled, stalled(f, found)}, {v1.Reconciling, reconciling(f, found)}} {
		if v.verdict.status == metav1.ConditionFalse {
			meta.RemoveStatusCondition(conditions, v.condition) // kstatus wants these only while they are true
		} else if v.verdict.reason != "" {
			set(v.condition, v.verdict)
		}
	}
	set(v1.Ready, ready(*conditions))
}

func keyAvailable(f facts) verdict {
	switch {
	case f.key == nil:
		return verdict{}
	case f.key.problem != nil:
		return no(f.key.problem.reason, "%s", sentence(f.key.problem.message))
	case f.migration.refused:
		return no(ReasonKeyChanged, "The database has another key than the one in the Secret %s. `kubectl logs job/%s` shows which. If the database is another node's, give this node a database of its own. If it is this node's, delete the Secret and create it with the database's key, from a backup.", f.key.secret, f.migration.name)
	}
	return yes(ReasonKeyFound, "The key is in the Secret %s.%s", f.key.secret, f.key.progress)
}

func schemaMigrated(f facts) verdict {
	switch f.migration.phase {
	case jobComplete:
		return yes(ReasonMigrated, "The database has the schema of the image.")
	case jobRunning:
		return no(ReasonMigrating, "The Job %s is migrating the database to the schema of the image. Pods keep their template until it completes.", f.migration.name)
	case jobWaiting:
		return no(ReasonMigrationWaiting, "%s", sentence(f.migration.message))
	case jobFailed:
		return no(ReasonMigrationFailed, "The Job %s failed: %s.", f.migration.name, f.migration.message)
	}
	return verdict{}
}

func apiAvailable(f facts) verdict {
	if f.stopped(f.api) {
		return no(ReasonHibernated, "The node hibernates, so no API replica runs and farmers get no response.")
	}
	if f.api.found && f.api.desired == 0 {
		return no(ReasonScaledToZero, "spec.api.replicas is 0, so no API replica runs and farmers get no response.")
	}
	if f.noService && f.api.found {
		return no(ReasonServiceMissing, "The Service of the API does not exist, so farmers cannot connect.")
	}
	return available(f.api, "API replicas")
}

func workersAvailable(f facts) verdict {
	if f.stopped(f.workers) {
		return no(ReasonHibernated, "The node hibernates, so no worker runs.")
	}
	if f.workers.found && f.workers.desired == 0 {
		return yes(ReasonScaledToZero, "The number of workers is 0, so proofs wait in the queue.")
	}
	return available(f.workers, "workers")
}

func available(p pool, what string) verdict {
	switch {
	case !p.found:
		return no(ReasonNotCreated, "The %s are not created yet.", what)
	case p.available == 0:
		return no(ReasonNoneAvailable, "0 of %d %s are available.", p.desired, what)
	}
	return yes(ReasonReplicasAvailable, "The %s are available.", what)
}

// progressing reports work that completes without a person's help. degraded reports
// the problems that need a person.
func progressing(f facts) verdict {
	switch {
	case f.paused:
		return no(ReasonAsExpected, "The node is paused, so the operator applies no change.")
	case f.blocked != nil:
		return no(ReasonAsExpected, "The operator applies no change until the problem that the condition Degraded names is solved.")
	case f.outdated:
		return yes(ReasonApplying, "The operator has not applied the current spec yet: %s.", excerpt(f.unfinished))
	case f.unfinished != "":
		return verdict{}
	case f.hibernation == hibernating && f.migration.phase != jobFailed && f.maintenance.phase != jobFailed, f.hibernation == waking:
		return yes(hibernationReasons[f.hibernation], "%s", hibernates(f).message)
	case f.migration.phase == jobRunning, f.migration.phase == jobWaiting:
		return yes(ReasonMigrating, "The database is being migrated to the schema of the image.")
	case f.whitelist.phase == jobRunning, f.whitelist.phase == jobWaiting:
		return yes(ReasonWhitelistLoading, "The whitelist is being loaded.")
	case f.maintenance.phase == jobRunning, f.maintenance.phase == jobWaiting:
		return yes(ReasonMaintenanceChanging, "The planned maintenance is being announced or cancelled.")
	case f.api.moving(), f.workers.moving():
		return yes(ReasonRollingOut, "Pods are being replaced by pods of the current spec.")
	}
	return no(ReasonAsExpected, "The node matches its spec; nothing is in progress.")
}

// degraded reports the most important problem that needs a person.
func degraded(f facts) verdict {
	if problems := problems(f); len(problems) > 0 {
		return yes(problems[0].reason, "%s", problems[0].message)
	}
	if f.paused || f.unfinished != "" {
		return verdict{}
	}
	return no(ReasonAsExpected, "No problem found.")
}

func paused(f facts) verdict {
	if f.paused {
		return yes(ReasonPaused, "spec.paused is true, so the operator does not change the node's objects.")
	}
	return no(ReasonNotPaused, "The operator keeps the node's objects as the spec asks.")
}

// moving reports whether pods with an older template than the newest still run, or the
// newest has never been available.
func (p pool) moving() bool { return p.found && !p.rolledOut && p.stalled == "" }

// reconciling reports whether the current spec is being brought into effect.
func reconciling(f facts, problems []problem) verdict {
	if stalled(f, problems).status == metav1.ConditionTrue {
		return no(ReasonAsExpected, "")
	}
	return progressing(f)
}

// stalled reports the first problem that keeps the current spec from coming into effect.
func stalled(f facts, problems []problem) verdict {
	for _, p := range problems {
		if p.stalls && !f.paused {
			return yes(p.reason, "%s", p.message)
		}
	}
	if f.unfinished != "" && !f.outdated {
		return verdict{}
	}
	return no(ReasonAsExpected, "")
}

// excerpt shortens another program's text for use in a condition. The caller adds
// the full stop.
func excerpt(text string) string {
	return strings.TrimRight(cut(strings.TrimSpace(text), 500), ".")
}

// cut returns at most limit bytes of a text.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "")
}

// sentence makes the first letter of a message a capital and adds a full stop.
func sentence(message string) string {
	if message == "" {
		return "."
	}
	return strings.ToUpper(message[:1]) + message[1:] + "."
}
