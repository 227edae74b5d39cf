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

// stopTime is longer than a process needs to stop after SIGSTOP. On a busy machine
// its threads continue to run for a short time.
const stopTime = time.Second

// If DOWNSTREAM_FAULT_POINT is POINT:N:ACTION, the worker takes the action when it
// reaches the point for the Nth time. The actions kill and stop send signals that a
// process cannot catch. The action panic panics.
func init() {
	setting := os.Getenv("DOWNSTREAM_FAULT_POINT")
	if setting == "" {
		return
	}
	parts := strings.Split(setting, ":")
	left, err := strconv.ParseInt(parts[min(1, len(parts)-1)], 10, 64)
	if len(parts) != 3 || err != nil {
		panic(fmt.Sprintf("DOWNSTREAM_FAULT_POINT=%q: want POINT:N:ACTION", setting))
	}
	point, action := parts[0], parts[2]
	var mu sync.Mutex
	faultPoint = func(name string) {
		if name != point {
			return
		}
		mu.Lock() // no other job passes this point during the action
		defer mu.Unlock()
		if left--; left == 0 {
			breakProcess(name, action)
		}
	}
}

func breakProcess(point, action string) {
	switch action {
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal may arrive a little later
	case "stop":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		time.Sleep(stopTime)
	default:
		panic("fault point " + point)
	}
}
