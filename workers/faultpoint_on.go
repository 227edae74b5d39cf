//go:build faultpoints

package workers

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// fault is what DOWNSTREAM_FAULT_POINT asks for: POINT:N:ACTION does it when
// the point is reached for the Nth time. ACTION is "kill" or "stop", the
// signals that nobody can prepare for, or "panic".
var fault = struct {
	point, action string
	left          atomic.Int64
}{}

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
	fault.left.Store(n)
}

// faultPoint lets a test break the worker at a step that it names.
func faultPoint(name string) {
	if name != fault.point || fault.left.Add(-1) != 0 {
		return
	}
	switch fault.action {
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // not a step further, however long the signal takes
	case "stop":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	default:
		panic("fault point " + name)
	}
}
