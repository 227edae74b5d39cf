//go:build faults

package faults

import (
	"reflect"
	"testing"

	"github.com/driveshare/downstream-node/test/deployment"
	"github.com/driveshare/downstream-node/test/ledger"
)

// A worker is paused after it has verified its jobs and before it commits the
// verdicts. During the pause, other workers take over its jobs, judge them, and
// issue the next challenges. When the paused worker resumes, it commits its
// verdicts. That commit must change nothing.
func TestPausedWorkerResumes(t *testing.T) {
	t.Parallel()
	// The deadline is long. With a short deadline, the paused worker would drop its
	// jobs because their deadlines have passed.
	n := start(t, deployment.Settings{"api.answerTimeout": "50s"}, "200")
	apis := twoAPIs(t, n)
	paused := n.Worker(t, nil, "DOWNSTREAM_FAULT_POINT=verified:1:stop")
	var told ledger.Ledger
	l := begin(t, apis, &told)
	eventually(t, "the worker stops", func() bool { return paused.Paused(t) })
	n.Worker(t, nil)
	l.await(t, 450) // for 200 contracts, so every contract has a later challenge by now
	audit(t, n, l, &told)

	before := n.Records(t)
	paused.Resume()
	eventually(t, "the late worker commits", func() bool {
		return paused.Metric(t, `downstream_worker_stage_seconds_count{stage="commit"}`) > 0
	})
	paused.Terminate(t) // the worker first finishes the jobs that it holds
	if after := n.Records(t); !reflect.DeepEqual(before, after) {
		t.Error("the late commit changed the records")
	}
	t.Log(told.Audit(n.Records(t)))
}
