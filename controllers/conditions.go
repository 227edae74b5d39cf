package controllers

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/driveshare/downstream-node/api/v1alpha1"
)

// The reasons of conditions, and of the events of the same name.
const (
	ReasonAsExpected        = "AsExpected"
	ReasonOwnershipConflict = "OwnershipConflict"
	ReasonApplyFailed       = "ApplyFailed"
	ReasonSecretMissing     = "SecretMissing"
	ReasonKeyFound          = "KeyFound"
	ReasonKeyMissing        = "KeyMissing"
	ReasonKeyChanged        = "KeyChanged"
	ReasonKeyInvalid        = "KeyInvalid"
	ReasonMigrated          = "Migrated"
	ReasonMigrating         = "Migrating"
	ReasonMigrationWaiting  = "MigrationWaiting"
	ReasonMigrationFailed   = "MigrationFailed"
	ReasonMigrationFailing  = "MigrationFailing"
	ReasonWhitelistFailing  = "WhitelistFailing"
	ReasonImagePullFailed   = "ImagePullFailed"
	ReasonWhitelistFailed   = "WhitelistFailed"
	ReasonWhitelistLoading  = "WhitelistLoading"
	ReasonReplicasAvailable = "ReplicasAvailable"
	ReasonNoneAvailable     = "NoneAvailable"
	ReasonNotCreated        = "NotCreated"
	ReasonScaledToZero      = "ScaledToZero"
	ReasonRollingOut        = "RollingOut"
	ReasonRolloutStalled    = "RolloutStalled"
	ReasonKindUnknown       = "KindUnknown"
	ReasonPaused            = "Paused"
	ReasonNotPaused         = "NotPaused"
	ReasonFarmersCanFarm    = "FarmersCanFarm"
	ReasonNotReached        = "NotReached"
)

// facts are what a reconcile found out, and all that conditions follow from.
type facts struct {
	paused       bool
	blocked      *blocked
	key          *keyFact // nil: not looked at
	migration    jobState
	whitelist    jobState
	api, workers pool
	unknownKinds []string // asked for, and the cluster does not know them
}

// keyFact is what was found of the heartbeat key.
type keyFact struct {
	secret  string
	problem *blocked // nil: the key is there and the right one
}

// pool is how a Deployment stands.
type pool struct {
	found     bool
	desired   int32
	running   int32
	ready     int32
	available int32
	settled   bool   // every pod is of the newest template and available
	stalled   string // why the rollout does not get on; empty where it does
	unpulled  string // the image that a pod waits for in vain, and why
}

// verdict is a condition without its time. Without a reason it says nothing,
// and what was known before stays.
type verdict struct {
	status          metav1.ConditionStatus
	reason, message string
}

func yes(reason, format string, args ...any) verdict {
	return verdict{metav1.ConditionTrue, reason, fmt.Sprintf(format, args...)}
}

func no(reason, format string, args ...any) verdict {
	return verdict{metav1.ConditionFalse, reason, fmt.Sprintf(format, args...)}
}

// verdicts is every condition but Ready, which follows from the others.
var verdicts = []struct {
	condition string
	of        func(facts) verdict
}{
	{v1alpha1.HeartbeatKeyAvailable, keyAvailable},
	{v1alpha1.SchemaMigrated, schemaMigrated},
	{v1alpha1.APIAvailable, apiAvailable},
	{v1alpha1.WorkersAvailable, workersAvailable},
	{v1alpha1.Progressing, progressing},
	{v1alpha1.Degraded, degraded},
	{v1alpha1.Paused, paused},
}

// setConditions brings the conditions up to date. Those of other types stay.
func setConditions(conditions *[]metav1.Condition, f facts, generation int64) {
	set := func(condition string, v verdict) {
		if v.reason == "" {
			if meta.FindStatusCondition(*conditions, condition) != nil {
				return
			}
			v = verdict{metav1.ConditionUnknown, ReasonNotReached, "Not looked at yet."}
		}
		meta.SetStatusCondition(conditions, metav1.Condition{
			Type: condition, Status: v.status, Reason: v.reason, Message: v.message, ObservedGeneration: generation,
		})
	}
	for _, v := range verdicts {
		set(v.condition, v.of(f))
	}
	set(v1alpha1.Ready, ready(*conditions, problems(f)))
}

func keyAvailable(f facts) verdict {
	switch {
	case f.key == nil:
		return verdict{}
	case f.key.problem != nil:
		return no(f.key.problem.reason, "%s.", capital(f.key.problem.message))
	case f.migration.refused:
		return no(ReasonKeyChanged, "The database belongs to another key than the one in the Secret %s; delete that and put the right one in, from a backup. `kubectl logs job/%s` names it.", f.key.secret, f.migration.name)
	}
	return yes(ReasonKeyFound, "The key is in the Secret %s.", f.key.secret)
}

func schemaMigrated(f facts) verdict {
	switch f.migration.phase {
	case jobComplete:
		return yes(ReasonMigrated, "The database has the schema of the image.")
	case jobRunning:
		return no(ReasonMigrating, "The Job %s is bringing the database to the schema of the image; pods keep their template until then.", f.migration.name)
	case jobWaiting:
		return no(ReasonMigrationWaiting, "%s.", capital(f.migration.message))
	case jobFailed:
		return no(ReasonMigrationFailed, "The Job %s failed: %s.", f.migration.name, f.migration.message)
	}
	return verdict{}
}

func apiAvailable(f facts) verdict {
	if f.api.found && f.api.desired == 0 {
		return no(ReasonScaledToZero, "There are to be no API replicas, so farmers get no answer.")
	}
	return available(f.api, "API replicas")
}

func workersAvailable(f facts) verdict {
	if f.workers.found && f.workers.desired == 0 {
		return yes(ReasonScaledToZero, "There are to be no workers; proofs wait.")
	}
	return available(f.workers, "workers")
}

func available(p pool, what string) verdict {
	switch {
	case !p.found:
		return no(ReasonNotCreated, "There are no %s yet.", what)
	case p.available == 0:
		return no(ReasonNoneAvailable, "None of %d %s is available.", p.desired, what)
	}
	return yes(ReasonReplicasAvailable, "There are %s to answer.", what)
}

// progressing speaks of what will end by itself, so what is degraded is not it.
func progressing(f facts) verdict {
	switch {
	case f.paused, f.blocked != nil:
		return no(ReasonAsExpected, "Nothing is under way.")
	case f.migration.phase == jobRunning, f.migration.phase == jobWaiting:
		return yes(ReasonMigrating, "The database is being brought to the schema of the image.")
	case f.whitelist.phase == jobRunning, f.whitelist.phase == jobWaiting:
		return yes(ReasonWhitelistLoading, "The whitelist is being loaded.")
	case f.api.found && !f.api.settled && f.api.stalled == "", f.workers.found && !f.workers.settled && f.workers.stalled == "":
		return yes(ReasonRollingOut, "Pods are being started or replaced.")
	}
	return no(ReasonAsExpected, "Nothing is under way.")
}

// degraded names the first thing that somebody has to look at.
func degraded(f facts) verdict {
	if problems := problems(f); len(problems) > 0 {
		return yes(problems[0].reason, "%s", problems[0].message)
	}
	if f.paused {
		return verdict{}
	}
	return no(ReasonAsExpected, "Nothing needs to be looked at.")
}

func paused(f facts) verdict {
	if f.paused {
		return yes(ReasonPaused, "The operator leaves the node's objects alone while spec.paused is true.")
	}
	return no(ReasonNotPaused, "The operator keeps the node's objects as the spec asks.")
}

// excerpt is as much of somebody else's text as a condition should hold, to be
// followed by a full stop.
func excerpt(text string) string {
	return strings.TrimRight(cut(strings.TrimSpace(text), 500), ".")
}

// cut keeps at most limit bytes of a text.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "")
}

// capital begins a message with a capital letter.
func capital(message string) string {
	if message == "" {
		return ""
	}
	return strings.ToUpper(message[:1]) + message[1:]
}
