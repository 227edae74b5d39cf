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
	add := func(hinders []string, reason, format string, args ...any) {
		found = append(found, problem{reason, fmt.Sprintf(format, args...), hinders})
	}
	if f.blocked != nil {
		add(everything, f.blocked.reason, "%s.", capital(f.blocked.message))
	}
	if f.migration.phase == jobFailed {
		add(thePods, ReasonMigrationFailed, "The Job %s failed: %s.", f.migration.name, f.migration.message)
	}
	if f.api.stalled != "" {
		add(theAPI, ReasonRolloutStalled, "The API's rollout does not get on: %s", f.api.stalled)
	}
	if f.workers.stalled != "" {
		add(theWorkers, ReasonRolloutStalled, "The workers' rollout does not get on: %s", f.workers.stalled)
	}
	if f.whitelist.phase == jobFailed {
		add(nil, ReasonWhitelistFailed, "The whitelist was not loaded: %s.", f.whitelist.message)
	}
	if len(f.unknownKinds) > 0 {
		add(nil, ReasonKindUnknown, "The cluster does not know what the spec asks for: %s.", strings.Join(f.unknownKinds, ", "))
	}
	return found
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
