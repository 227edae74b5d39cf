//go:build faultpoints

package clock

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// DOWNSTREAM_FAULT_CLOCK shifts the machine's clock, for example by 25s or -25s. If it
// is a path, the file contains the shift and may change. Without a file there is no shift.
func init() {
	setting := os.Getenv("DOWNSTREAM_FAULT_CLOCK")
	if setting == "" {
		return
	}
	machineTime = func() time.Time { return time.Now().Add(shift(setting)) }
}

func shift(setting string) time.Duration {
	text := setting
	if filepath.IsAbs(setting) {
		content, err := os.ReadFile(setting)
		if err != nil {
			return 0
		}
		text = string(content)
	}
	shift, err := time.ParseDuration(text)
	if err != nil {
		panic(fmt.Sprintf("DOWNSTREAM_FAULT_CLOCK=%q: %v", setting, err))
	}
	return shift
}
