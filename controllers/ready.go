package controllers

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/driveshare/downstream-node/api/v1alpha1"
)

// needed are the conditions without which farmers cannot farm. SchemaMigrated
// is none of them: pods that run have the schema that they need, and keep their
// template until the database has the next.
var needed = []string{v1alpha1.HeartbeatKeyAvailable, v1alpha1.APIAvailable, v1alpha1.WorkersAvailable}

// problem is something that somebody has to look at.
type problem struct {
	reason, message string
	// hinders are the conditions that cannot come true because of it; none
	// where farmers do not notice.
	hinders []string
}

var (
	everything = needed
	thePods    = []string{v1alpha1.APIAvailable, v1alpha1.WorkersAvailable}
	theAPI     = thePods[:1]
	theWorkers = thePods[1:]
)

// problems are all there are, what hinders most first.
func problems(f facts) []problem {
	var found []problem
	if f.blocked != nil {
		found = append(found, problem{f.blocked.reason, capital(f.blocked.message) + ".", everything})
	}
	found = slices.Concat(found,
		f.migration.problems("database was not migrated", thePods, ReasonMigrationFailed, ReasonMigrationFailing),
		f.api.problems("API", theAPI),
		f.workers.problems("workers", theWorkers),
		f.whitelist.problems("whitelist was not loaded", nil, ReasonWhitelistFailed, ReasonWhitelistFailing))
	if len(f.unknownKinds) > 0 {
		message := fmt.Sprintf("The cluster does not know what the spec asks for: %s.", strings.Join(f.unknownKinds, ", "))
		found = append(found, problem{ReasonKindUnknown, message, nil})
	}
	return found
}

// worrying is how many attempts of a Job may fail before it is told: the first
// may have come before its database.
const worrying = 2

func (j jobState) problems(what string, hinders []string, failed, failing string) []problem {
	switch {
	case j.phase == jobFailed:
		return []problem{{failed, fmt.Sprintf("The %s: %s.", what, j.message), hinders}}
	case j.phase == jobRunning && j.unpulled != "":
		return []problem{{ReasonImagePullFailed, fmt.Sprintf("The %s: %s.", what, j.unpulled), hinders}}
	case j.phase == jobRunning && j.failed >= worrying:
		message := fmt.Sprintf("The %s: %d attempts failed", what, j.failed)
		if j.lastWords != "" {
			message += ", the last with: " + j.lastWords
		}
		return []problem{{failing, fmt.Sprintf("%s; see `kubectl logs job/%s`.", message, j.name), hinders}}
	}
	return nil
}

func (p pool) problems(whose string, hinders []string) []problem {
	switch {
	case p.unpulled != "":
		return []problem{{ReasonImagePullFailed, fmt.Sprintf("The rollout of the %s does not get on: %s.", whose, p.unpulled), hinders}}
	case p.stalled != "":
		return []problem{{ReasonRolloutStalled, fmt.Sprintf("The rollout of the %s does not get on: %s", whose, p.stalled), hinders}}
	}
	return nil
}

// ready names what somebody has to look at, of what hinders a condition that
// is needed, before what is merely not there yet.
func ready(conditions []metav1.Condition, problems []problem) verdict {
	missing := slices.DeleteFunc(slices.Clone(needed), func(condition string) bool {
		return meta.IsStatusConditionTrue(conditions, condition)
	})
	if len(missing) == 0 {
		return yes(ReasonFarmersCanFarm, "Farmers can farm.")
	}
	for _, p := range problems {
		if slices.ContainsFunc(p.hinders, func(condition string) bool { return slices.Contains(missing, condition) }) {
			return no(p.reason, "%s", p.message)
		}
	}
	for _, condition := range missing {
		c := meta.FindStatusCondition(conditions, condition)
		if schema := meta.FindStatusCondition(conditions, v1alpha1.SchemaMigrated); c != nil && c.Reason == ReasonNotCreated && schema.Status == metav1.ConditionFalse {
			c = schema // pods are made when the schema is there
		}
		if c != nil && c.Status == metav1.ConditionFalse {
			return no(c.Reason, "%s", c.Message)
		}
	}
	return no(ReasonNotReached, "Not looked at yet.")
}
