package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// limit is a control group that limits the share of the processor.
type limit struct{ dir string }

// limitPeriod is the period of a share. It is short, so that a worker never pauses
// for long in the middle of a verification job.
const limitPeriod = 20 * time.Millisecond

// These constants are the directories of control groups. Version 2 has one tree,
// and version 1 has one tree for the processor.
const (
	groups2 = "/sys/fs/cgroup"
	groups1 = "/sys/fs/cgroup/cpu"
)

// limitsWork returns an error that says why processes cannot be limited to a share.
// It returns nil if they can be limited.
func limitsWork() error {
	l, err := newLimit("downstream-node-bench-try", 1)
	if err != nil {
		return err
	}
	l.remove()
	return nil
}

// newLimit makes a group that may use the given share of a core.
func newLimit(name string, share float64) (*limit, error) {
	period := limitPeriod.Microseconds()
	quota := int64(share * float64(period))
	l := &limit{filepath.Join(groups2, name)}
	settings := map[string]string{"cpu.max": fmt.Sprint(quota, " ", period)}
	controllers, err := os.ReadFile(filepath.Join(groups2, "cgroup.controllers"))
	if err != nil || !bytes.Contains(controllers, []byte("cpu")) {
		l.dir = filepath.Join(groups1, name)
		settings = map[string]string{"cpu.cfs_period_us": fmt.Sprint(period), "cpu.cfs_quota_us": fmt.Sprint(quota)}
	} else if err := os.WriteFile(filepath.Join(groups2, "cgroup.subtree_control"), []byte("+cpu"), 0); err != nil {
		return nil, err
	}
	if err := os.Mkdir(l.dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	for file, value := range settings {
		if err := os.WriteFile(filepath.Join(l.dir, file), []byte(value), 0); err != nil {
			l.remove()
			return nil, err
		}
	}
	return l, nil
}

// add moves a process, with all its threads, into the group.
func (l *limit) add(pid int) error {
	return os.WriteFile(filepath.Join(l.dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)
}

// remove removes the group after its processes have ended. A second call has no
// effect.
func (l *limit) remove() {
	for range 50 {
		if err := os.Remove(l.dir); err == nil || errors.Is(err, os.ErrNotExist) {
			return
		}
		time.Sleep(20 * time.Millisecond) // the kernel is still removing the processes
	}
}

// cpuTime returns the processor time that a process has used.
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, in brackets, may contain spaces. Counted after the name, fields
	// 12 and 13 are the user and system time in hundredths of a second.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	var sum time.Duration
	for _, field := range fields[11:13] {
		ticks, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(ticks) * 10 * time.Millisecond
	}
	return sum, nil
}
