//go:build faults

package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/test/deployment"
)

// unshifted is the value of clockVariable at which the database's clock is right. The
// server does not use this variable for anything that matters.
const (
	clockVariable = "slow_launch_time"
	unshifted     = 7200
)

// The clocks of the database and of the processes are stepped while the node runs. A
// step forward looks like an outage. It must cost no honest farmer anything.
func TestClockStepped(t *testing.T) {
	t.Parallel()
	const interval = 20 * time.Second
	for _, step := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(step.String(), func(t *testing.T) {
			t.Parallel()
			servers := start(t, outageSettings(interval), "100", "--slow-launch-time="+strconv.Itoa(unshifted))
			clock := filepath.Join(t.TempDir(), "clock")
			environ := []string{
				"DOWNSTREAM_FAULT_CLOCK=" + clock,
				fmt.Sprintf("DOWNSTREAM_FAULT_DATABASE_CLOCK=CAST(@@global.%s AS SIGNED) - %d", clockVariable, unshifted),
			}
			api := servers.LaunchAPI(t, nil, environ...)
			eventually(t, "the API is ready", api.Ready)
			n := &fallible{t, []*deployment.Replica{api, servers.Worker(t, nil, environ...)}, servers, nil}
			honest, dead, before := farmUntilOutage(t, n)

			began := time.Now()
			servers.MariaDB.SetGlobal(t, clockVariable, strconv.Itoa(unshifted+int(step.Seconds())))
			testenv.Must(t, os.WriteFile(clock, []byte(step.String()), 0o600))
			want := costs{}
			if step > 0 {
				within(t, "the dead farmer's contracts are void", func() bool { return n.void() >= 4 })
				want.void = 4
			}
			cost := costOf(t, n, honest, before)
			fmt.Printf("clocks stepped by %v, intervals of %v: %v, %.0f s after the step\n", step, interval, cost, time.Since(began).Seconds())
			if cost != want {
				t.Error("the step cost an honest farmer something, or the dead farmer's contracts are not void")
			}
			if step > 0 {
				within(t, "the dead farmer's uptime falls", func() bool { return n.farmer(dead.id).Uptime < 100 })
			}
		})
	}
}
