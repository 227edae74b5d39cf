package controllers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/controllers/desired"
)

// Fault is a fault of a node, as GET /status/faults describes it.
type Fault struct {
	Start    int64  `json:"start"` // in Unix seconds
	End      *int64 `json:"end"`   // nil if the fault is open
	Cause    string `json:"cause"`
	Evidence string `json:"evidence"`
}

// Maintenance is a maintenance that is planned or has begun, with times in Unix seconds.
type Maintenance struct {
	Start  int64  `json:"start"`
	End    int64  `json:"end"`
	Reason string `json:"reason"`
}

// Faults is the response of GET /status/faults.
type Faults struct {
	Faults       []Fault       `json:"faults"`       // the latest first
	Maintenances []Maintenance `json:"maintenances"` // the first one first
}

// FaultReader reads the last faults of a node, and its maintenances. address is the host
// and the port of the node's API.
type FaultReader func(ctx context.Context, address string) (Faults, error)

// ReadFaults is the FaultReader for production.
func ReadFaults(ctx context.Context, address string) (Faults, error) {
	var response Faults
	err := readStatus(ctx, address, "faults", &response)
	return response, err
}

// readStatus decodes the response to a GET request of the node's status API.
func readStatus(ctx context.Context, address, path string, into any) error {
	status, err := askNode(ctx, "http://"+address+"/api/downstream/v1/status/"+path, into)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("GET /status/%s: status %d", path, status)
	}
	return err
}

// faultsAge is how long the operator uses what it read of a node without an open fault.
// So a node that is reconciled more often still gets these requests at most twice a minute.
const faultsAge = 25 * time.Second

// faultsRead is what the operator read of a node's faults and of its heartbeat keys.
type faultsRead struct {
	Faults
	at   time.Time
	err  error // why the faults are unknown
	keys []Key // empty if they are unknown
}

// open returns the fault that has not ended, or nil.
func (f faultsRead) open() *Fault {
	i := slices.IndexFunc(f.Faults.Faults, func(f Fault) bool { return f.End == nil })
	if i < 0 {
		return nil
	}
	return &f.Faults.Faults[i]
}

// planned begins the sentences about maintenances that have not begun, in the message of Faulty.
const planned = " A maintenance is planned "

// announced returns a sentence for each maintenance that has not begun.
func (f faultsRead) announced() (text string) {
	for _, m := range f.Maintenances {
		begun := slices.ContainsFunc(f.Faults.Faults, func(f Fault) bool { return f.End == nil && f.Start == m.Start })
		if !begun {
			text += fmt.Sprintf(planned+"from %s to %s: %s.", moment(m.Start), moment(m.End), excerpt(m.Reason))
		}
	}
	return cut(text, 2000)
}

// readFaults reads a node's faults and its keys from its API, through the Service.
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
	address := net.JoinHostPort(host, strconv.Itoa(int(s.Spec.API.Service.Port)))
	if read.Faults, read.err = r.Faults(ctx, address); read.err == nil {
		read.keys, _ = r.Keys(ctx, address) // an older image does not know this request
	}
	r.faults.Store(s.nodeKey(), read)
	return read
}

// faultReasons are the reasons of Faulty by the cause of the open fault.
var faultReasons = map[string]string{"down": ReasonDown, "failing": ReasonFailing, "unreachable": ReasonUnreachable, "maintenance": ReasonMaintenance}

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
		v := yes(reason, "The node has been in a fault since %s: %s. No contract expires until the fault ends.%s", moment(open.Start), excerpt(open.Evidence), f.faults.announced())
		v.since = open.Start
		return v
	}
	if len(f.faults.Faults.Faults) == 0 {
		return no(ReasonNoFault, "The node has recorded no fault.%s", f.faults.announced())
	}
	last := f.faults.Faults.Faults[0]
	v := no(ReasonFaultOver, "No fault is open. The last one was from %s to %s: %s.%s", moment(last.Start), moment(*last.End), excerpt(last.Evidence), f.faults.announced())
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
	before, _, _ := strings.Cut(old.Message, planned)
	after, _, _ := strings.Cut(now.Message, planned)
	return old.Status != now.Status || before != after
}

// faultProblems returns the open fault, unless it is a maintenance, or the spec asks for no
// API or no worker, which is a fault too.
func faultProblems(f facts) []problem {
	v := faulty(f)
	if v.status != metav1.ConditionTrue || v.reason == ReasonMaintenance || f.api.desired == 0 || f.workers.desired == 0 {
		return nil
	}
	return []problem{{v.reason, v.message, nil, false}}
}

// failing returns the condition Faulty if most proofs fail, else nil.
func failing(conditions []metav1.Condition) *metav1.Condition {
	c := meta.FindStatusCondition(conditions, v1.Faulty)
	if c == nil || c.Status != metav1.ConditionTrue || c.Reason != ReasonFailing {
		return nil
	}
	return c
}
