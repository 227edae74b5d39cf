package app

import (
	"log/slog"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// cgroupRoot is where Linux shows the limits of control groups.
const cgroupRoot = "/sys/fs/cgroup"

// limitMemory tells the garbage collector to keep the process within 90 % of the memory
// limit of its container. It does nothing if there is no such limit, or if the
// environment sets GOMEMLIMIT.
//
// The collector counts the memory of raiseHeap, but the container does not, because the
// process never touches it.
func limitMemory(log *slog.Logger) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return
	}
	if most, ok := containerLimit(os.ReadFile, string(own)); ok {
		debug.SetMemoryLimit(most/10*9 + heapFloor)
		log.Debug("the container limits the memory", "bytes", most)
	}
}

// containerLimit returns the smallest memory limit of the control groups in own, the
// content of /proc/self/cgroup, and of the groups that contain them. It knows versions 1
// and 2 of control groups.
func containerLimit(readFile func(string) ([]byte, error), own string) (most int64, ok bool) {
	for line := range strings.Lines(own) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3) // hierarchy:controllers:path
		if len(fields) < 3 {
			continue
		}
		root, name := cgroupRoot, "memory.max"
		switch fields[1] {
		case "": // version 2
		case "memory":
			root, name = cgroupRoot+"/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		for group := path.Clean("/" + fields[2]); ; group = path.Dir(group) {
			text, err := readFile(path.Join(root, group, name))
			limit, notNumber := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
			// Version 2 says "max" if there is no limit, version 1 a number near 2^63.
			if err == nil && notNumber == nil && limit < 1<<62 && (!ok || limit < most) {
				most, ok = limit, true
			}
			if group == "/" {
				break
			}
		}
	}
	return most, ok
}
