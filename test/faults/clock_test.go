//go:build faults

package faults

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/test/deployment"
	"github.com/driveshare/downstream-node/test/ledger"
)

// The clock of a machine is wrong. The node uses the database's clock, so every proof
// is judged, no job is late and no contract expires. The process reports the difference,
// and is not ready if it is large.
func TestClocksApart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, api, worker string // how far the clocks are ahead
		ready             bool
	}{
		{"worker ahead", "0s", "25s", false},
		{"worker behind", "0s", "-25s", false},
		{"API ahead", "25s", "0s", false},
		{"API behind", "-1h", "0s", false},
		{"worker a little ahead", "0s", "5s", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := start(t, nil, "100")
			api := n.LaunchAPI(t, nil, "DOWNSTREAM_FAULT_CLOCK="+tt.api)
			worker := n.LaunchWorker(t, nil, "DOWNSTREAM_FAULT_CLOCK="+tt.worker)
			wrong, shift := worker, tt.worker
			if tt.api != "0s" {
				wrong, shift = api, tt.api
			}
			ahead, err := time.ParseDuration(shift)
			if err != nil {
				t.Fatal(err)
			}
			for _, replica := range []*deployment.Replica{api, worker} { // a process whose clock is wrong does not become ready
				eventually(t, "the process works", func() bool {
					_, text := replica.Readiness()
					return strings.Contains(text, `"clock"`) && !strings.Contains(text, `"process":"starting"`)
				})
			}
			var told ledger.Ledger
			l := begin(t, []*deployment.Replica{api}, &told)
			l.await(t, 200)
			ready, text := wrong.Readiness()
			if ready != tt.ready || !ready && !strings.Contains(text, "NTP") {
				t.Errorf("ready %t, want %t: %s", ready, tt.ready, text)
			}
			offset := wrong.Metric(t, "downstream_clock_offset_seconds")
			if math.Abs(offset-ahead.Seconds()) > 0.5 {
				t.Errorf("downstream_clock_offset_seconds is %v, want about %v", offset, ahead.Seconds())
			}
			late := worker.Metric(t, "downstream_worker_late_jobs_total")
			tally := audit(t, n, l, &told)
			if tally.Unavailable > 0 || tally.Expired > 0 || late > 0 {
				t.Errorf("%d requests got a 503, %d contracts expired, %v jobs were late; want none", tally.Unavailable, tally.Expired, late)
			}
			t.Logf("clock %v apart: late jobs %v, contracts lost %d", ahead, late, tally.Expired)
		})
	}
}
