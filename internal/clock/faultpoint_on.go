//go:build faultpoints

package clock

import (
	"fmt"
	"os"
	"time"
)

// DOWNSTREAM_FAULT_CLOCK shifts the machine's clock, for example by 25s or -25s.
func init() {
	setting := os.Getenv("DOWNSTREAM_FAULT_CLOCK")
	if setting == "" {
		return
	}
	shift, err := time.ParseDuration(setting)
	if err != nil {
		panic(fmt.Sprintf("DOWNSTREAM_FAULT_CLOCK=%q: %v", setting, err))
	}
	machineTime = func() time.Time { return time.Now().Add(shift) }
}
