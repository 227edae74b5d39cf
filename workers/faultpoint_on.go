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

// stopTime is longer than a process takes to stop after SIGSTOP. On a busy
// machine its threads run on for a while.
const stopTime = time.Second

// DOWNSTREAM_FAULT_POINT=POINT:N:ACTION takes the action when the worker
// reaches the point for the Nth time. The actions kill and stop send signals
// that a process cannot catch; panic panics.
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
		select {} // the signal may take a moment
	case "stop":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		time.Sleep(stopTime)
	default:
		panic("fault point " + point)
	}
}
