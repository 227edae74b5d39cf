//go:build faultpoints

package workers

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// fault is what DOWNSTREAM_FAULT_POINT asks for: POINT:N:ACTION does it when
// the point is reached for the Nth time. ACTION is "kill" or "stop", the
// signals that nobody can prepare for, or "panic".
var fault = struct {
	point, action string

	mu   sync.Mutex
	left int64
}{}

// stopTime is more than it takes until a process that stops itself has
// stopped: on a busy machine its threads run on for a while.
const stopTime = time.Second

func init() {
	asked := os.Getenv("DOWNSTREAM_FAULT_POINT")
	if asked == "" {
		return
	}
	parts := strings.Split(asked, ":")
	n, err := strconv.ParseInt(parts[min(1, len(parts)-1)], 10, 64)
	if len(parts) != 3 || err != nil {
		panic(fmt.Sprintf("DOWNSTREAM_FAULT_POINT=%q: want POINT:N:ACTION", asked))
	}
	fault.point, fault.action = parts[0], parts[2]
	fault.left = n
}

// faultPoint lets a test break the worker at a step that it names. Nobody goes
// past that step while it breaks.
func faultPoint(name string) {
	if name != fault.point {
		return
	}
	fault.mu.Lock()
	defer fault.mu.Unlock()
	if fault.left--; fault.left != 0 {
		return
	}
	switch fault.action {
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // not a step further, however long the signal takes
	case "stop":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		time.Sleep(stopTime)
	default:
		panic("fault point " + name)
	}
}
