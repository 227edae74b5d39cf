package controllers

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/driveshare/downstream-node/api/v1"
)

// needed lists the conditions that must be true so that farmers can farm.
// SchemaMigrated is not in the list: running pods have the schema that they need, and
// they keep their template until the database has the next schema.
var needed = []string{v1.HeartbeatKeyAvailable, v1.APIAvailable, v1.WorkersAvailable}

var (
	onPods    = []string{v1.APIAvailable, v1.WorkersAvailable}
	onAPI     = onPods[:1]
	onWorkers = onPods[1:]
)

// problem is something that a person has to solve.
type problem struct {
	reason, message string
	// prevents lists the conditions that cannot become true because of the problem.
	// The list is empty if the problem does not affect farmers.
	prevents []string
	// stalls reports that the current spec cannot come into effect.
	stalls bool
}

// problems returns all problems. The problems that prevent the most conditions come
// first.
func problems(f facts) []problem {
	var found []problem
	if f.blocked != nil {
		found = append(found, problem{f.blocked.reason, sentence(f.blocked.message), needed, true})
	}
	for _, v := range []verdict{databaseAvailable(f), queueAvailable(f)} {
		if v.status == metav1.ConditionFalse {
			// Otherwise the spec is in effect, and the pods wait for the server.
			stalls := f.api.moving() || f.workers.moving()
			found = append(found, problem{v.reason, v.message, onPods, stalls})
		}
	}
	found = slices.Concat(found,
		f.mysql.problems("MySQL"),
		f.redis.problems("Redis"),
		f.migration.problems("database was not migrated", onPods, ReasonMigrationFailed, ReasonMigrationFailing),
		f.api.problems("API", onAPI),
		f.workers.problems("workers", onWorkers),
		f.whitelist.problems("whitelist was not loaded", nil, ReasonWhitelistFailed, ReasonWhitelistFailing),
		f.maintenance.problems("maintenance was not announced or cancelled", nil, ReasonMaintenanceFailed, ReasonMaintenanceFailing))
	found = append(found, faultProblems(f)...)
	if f.backup != nil {
		found = append(found, problem{f.backup.reason, sentence(f.backup.message), nil, false})
	}
	if len(f.unknownKinds) > 0 {
		message := fmt.Sprintf("The spec asks for kinds that the cluster does not know: %s. Install them, or remove them from the spec.", strings.Join(f.unknownKinds, ", "))
		found = append(found, problem{ReasonKindUnknown, message, nil, false})
	}
	return found
}

// reportedAttempts is the number of failed attempts after which a Job is a problem.
// One failed attempt is not a problem, because the first attempt may start before
// the database runs.
const reportedAttempts = 2

func (j jobState) problems(what string, prevents []string, failed, failing string) []problem {
	switch {
	case j.phase == jobFailed:
		return []problem{{failed, fmt.Sprintf("The %s: %s.", what, j.message), prevents, true}}
	case j.phase == jobRunning && j.trouble != nil:
		return []problem{{j.trouble.reason, fmt.Sprintf("The %s: %s.", what, j.trouble.message), prevents, true}}
	case j.phase == jobRunning && j.failed >= reportedAttempts:
		message := fmt.Sprintf("The %s: %d attempts failed", what, j.failed)
		if j.lastLine != "" {
			message += ", the last with: " + j.lastLine
		}
		return []problem{{failing, fmt.Sprintf("%s; see `kubectl logs job/%s`.", message, j.name), prevents, true}}
	}
	return nil
}

func (e *evaluation) problems(what string) []problem {
	if e == nil || e.trouble == nil {
		return nil
	}
	return []problem{{e.trouble.reason, fmt.Sprintf("The evaluation %s does not run: %s.", what, e.trouble.message), onPods, true}}
}

func (p pool) problems(whose string, prevents []string) []problem {
	switch {
	case p.trouble != nil && p.rolledOut:
		return []problem{{p.trouble.reason, fmt.Sprintf("Pods of the %s do not run: %s.", whose, p.trouble.message), prevents, false}}
	case p.trouble != nil:
		return []problem{{p.trouble.reason, fmt.Sprintf("The rollout of the %s does not progress: %s.", whose, p.trouble.message), prevents, true}}
	case p.stalled != "":
		return []problem{{ReasonRolloutStalled, fmt.Sprintf("The rollout of the %s does not progress: %s", whose, p.stalled), prevents, !p.rolledOut}}
	case p.otherFailure() != "":
		return []problem{{ReasonPodNotReady, fmt.Sprintf("The %s: %s.", whose, p.otherFailure()), prevents, false}}
	case p.rolledOut && p.desired > 0 && p.available == 0 && len(p.reports) == 0:
		message := fmt.Sprintf("0 of %d pods of the %s are available; see `kubectl describe pods`", p.desired, whose)
		if p.unasked != nil {
			message = fmt.Sprintf("0 of %d pods of the %s are available, and the operator cannot ask them why: %s", p.desired, whose, excerpt(p.unasked.Error()))
		}
		return []problem{{ReasonNoneAvailable, message + ".", prevents, false}}
	}
	return nil
}

// ready computes the condition Ready from the conditions that it depends on.
func ready(conditions []metav1.Condition) verdict {
	if c := meta.FindStatusCondition(conditions, v1.Available); c.Status != metav1.ConditionTrue {
		return no(c.Reason, "%s", c.Message)
	}
	for _, condition := range []string{v1.Stalled, v1.Reconciling} {
		if c := meta.FindStatusCondition(conditions, condition); c != nil {
			return no(c.Reason, "%s", c.Message)
		}
	}
	return yes(ReasonFarmersCanFarm, "Farmers can farm, and the spec is in effect.")
}

// farming computes the condition Available. If a needed condition is not true, farming
// reports a problem that prevents the condition. If there is no such problem, it
// reports the reason of the condition.
func farming(conditions []metav1.Condition, problems []problem) verdict {
	missing := slices.DeleteFunc(slices.Clone(needed), func(condition string) bool {
		return meta.IsStatusConditionTrue(conditions, condition)
	})
	if len(missing) == 0 {
		if c := failing(conditions); c != nil {
			return no(c.Reason, "%s", c.Message)
		}
		return yes(ReasonFarmersCanFarm, "Farmers can farm.")
	}
	for _, p := range problems {
		if slices.ContainsFunc(p.prevents, func(condition string) bool { return slices.Contains(missing, condition) }) {
			return no(p.reason, "%s", p.message)
		}
	}
	for _, condition := range missing {
		c := meta.FindStatusCondition(conditions, condition)
		if schema := meta.FindStatusCondition(conditions, v1.SchemaMigrated); c != nil && c.Reason == ReasonNotCreated && schema.Status == metav1.ConditionFalse {
			c = schema // the operator creates pods only after the migration
		}
		if c != nil && c.Status == metav1.ConditionFalse {
			return no(c.Reason, "%s", c.Message)
		}
	}
	return no(ReasonNotReached, "Not checked yet.")
}
