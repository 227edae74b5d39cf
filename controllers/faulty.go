package controllers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/driveshare/downstream-node/api/v1alpha1"
	"github.com/driveshare/downstream-node/controllers/desired"
)

// Fault is a fault of a node, as GET /status/faults describes it.
type Fault struct {
	Start    int64  `json:"start"` // in Unix seconds
	End      *int64 `json:"end"`   // nil if the fault is open
	Cause    string `json:"cause"`
	Evidence string `json:"evidence"`
}

// FaultReader reads the last faults of a node, the latest first. address is the host and
// the port of the node's API.
type FaultReader func(ctx context.Context, address string) ([]Fault, error)

// ReadFaults is the FaultReader for production.
func ReadFaults(ctx context.Context, address string) ([]Fault, error) {
	var response struct{ Faults []Fault }
	status, err := askNode(ctx, "http://"+address+"/api/downstream/v1/status/faults", &response)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("GET /status/faults: status %d", status)
	}
	return response.Faults, err
}

// faultsAge is how long the operator uses what it read of a node without an open fault.
// So a node that is reconciled more often still gets at most two requests a minute.
const faultsAge = 25 * time.Second

// faultsRead is what the operator read of a node's faults.
type faultsRead struct {
	at     time.Time
	faults []Fault
	err    error // why the faults are unknown
}

// open returns the fault that has not ended, or nil.
func (f faultsRead) open() *Fault {
	i := slices.IndexFunc(f.faults, func(f Fault) bool { return f.End == nil })
	if i < 0 {
		return nil
	}
	return &f.faults[i]
}

// readFaults reads a node's faults from its API, through the Service.
func (r *Reconciler) readFaults(ctx context.Context, s *scope) *faultsRead {
	if s.facts.noService || s.facts.api.ready == 0 {
		r.faults.Delete(s.nodeKey())
		return &faultsRead{err: errors.New("no API replica is ready")}
	}
	if last, ok := r.faults.Load(s.nodeKey()); ok {
		last := last.(*faultsRead)
		if last.open() == nil && r.now().Sub(last.at) < faultsAge {
			return last
		}
	}
	host := fmt.Sprintf("%s.%s.svc", s.ObjectName(desired.API), s.Namespace)
	read := &faultsRead{at: r.now()}
	read.faults, read.err = r.Faults(ctx, net.JoinHostPort(host, strconv.Itoa(int(s.Spec.API.Service.Port))))
	r.faults.Store(s.nodeKey(), read)
	return read
}

// faultReasons are the reasons of Faulty by the cause of the open fault.
var faultReasons = map[string]string{"down": ReasonDown, "failing": ReasonFailing, "unreachable": ReasonUnreachable}

// faulty computes the condition Faulty. If the faults are unknown, the condition is too:
// an old "False" would say that all is well just when the API has failed.
func faulty(f facts) verdict {
	if f.faults == nil {
		return verdict{}
	}
	if f.faults.err != nil {
		message := fmt.Sprintf("The operator cannot read the node's faults: %s.", excerpt(f.faults.err.Error()))
		return verdict{status: metav1.ConditionUnknown, reason: ReasonFaultsUnknown, message: message}
	}
	if open := f.faults.open(); open != nil {
		reason := faultReasons[open.Cause]
		if reason == "" {
			reason = ReasonOtherFault
		}
		v := yes(reason, "The node has been in a fault since %s: %s. No contract expires until the fault is over.", moment(open.Start), excerpt(open.Evidence))
		v.since = open.Start
		return v
	}
	if len(f.faults.faults) == 0 {
		return no(ReasonNoFault, "The node has recorded no fault.")
	}
	last := f.faults.faults[0]
	v := no(ReasonFaultOver, "No fault is open. The last one was from %s to %s: %s.", moment(last.Start), moment(*last.End), excerpt(last.Evidence))
	v.since = *last.End
	return v
}

// moment formats Unix seconds.
func moment(seconds int64) string { return time.Unix(seconds, 0).UTC().Format(time.RFC3339) }

// faultChanged reports whether a fault began or ended between two versions of Faulty,
// neither of which is unknown now. After an unknown condition, a fault that ended
// earlier is not new.
func faultChanged(old *metav1.Condition, now metav1.Condition) bool {
	switch {
	case now.Reason == ReasonNoFault:
		return false
	case old == nil:
		return now.Status == metav1.ConditionTrue
	case old.Status == metav1.ConditionUnknown && now.Status == metav1.ConditionFalse:
		return now.LastTransitionTime.After(old.LastTransitionTime.Time)
	}
	return old.Status != now.Status || old.Message != now.Message
}

// faultProblems returns the open fault, unless the spec asks for no API or no worker, which
// is a fault too.
func faultProblems(f facts) []problem {
	v := faulty(f)
	if v.status != metav1.ConditionTrue || f.api.desired == 0 || f.workers.desired == 0 {
		return nil
	}
	return []problem{{v.reason, v.message, nil, false}}
}

// failing returns the condition Faulty if most proofs fail, else nil.
func failing(conditions []metav1.Condition) *metav1.Condition {
	c := meta.FindStatusCondition(conditions, v1alpha1.Faulty)
	if c == nil || c.Status != metav1.ConditionTrue || c.Reason != ReasonFailing {
		return nil
	}
	return c
}
