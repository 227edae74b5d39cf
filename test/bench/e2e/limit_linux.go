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

// limit is a control group with a share of the processor.
type limit struct{ dir string }

// limitPeriod is the time within which a share is reckoned. It is short, so
// that a job does not stand still for long in the middle.
const limitPeriod = 20 * time.Millisecond

// The control groups' places: one tree in version 2, one for the processor in
// version 1.
const (
	groups2 = "/sys/fs/cgroup"
	groups1 = "/sys/fs/cgroup/cpu"
)

// limitsWork says why no process can be held to a share; nil where one can.
func limitsWork() error {
	l, err := newLimit("downstream-node-bench-try", 1)
	if err != nil {
		return err
	}
	l.remove()
	return nil
}

// newLimit makes a group that may have so much of a core.
func newLimit(name string, share float64) (*limit, error) {
	period := limitPeriod.Microseconds()
	quota := int64(share * float64(period))
	controllers, err := os.ReadFile(filepath.Join(groups2, "cgroup.controllers"))
	if err != nil || !bytes.Contains(controllers, []byte("cpu")) {
		return newGroup(groups1, name, map[string]string{
			"cpu.cfs_period_us": strconv.FormatInt(period, 10),
			"cpu.cfs_quota_us":  strconv.FormatInt(quota, 10),
		})
	}
	if err := os.WriteFile(filepath.Join(groups2, "cgroup.subtree_control"), []byte("+cpu"), 0); err != nil {
		return nil, err
	}
	return newGroup(groups2, name, map[string]string{"cpu.max": fmt.Sprint(quota, " ", period)})
}

func newGroup(root, name string, settings map[string]string) (*limit, error) {
	l := &limit{filepath.Join(root, name)}
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

// hold puts a process into the group, with all of its threads.
func (l *limit) hold(pid int) error {
	return os.WriteFile(filepath.Join(l.dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)
}

// remove removes the group, once its processes have ended. Where that has been
// done it does nothing.
func (l *limit) remove() {
	for range 50 {
		if err := os.Remove(l.dir); err == nil || errors.Is(err, os.ErrNotExist) {
			return
		}
		time.Sleep(20 * time.Millisecond) // the kernel still cleans up after them
	}
}

// cpuTime is the processor's time that a process has had.
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, in brackets, may have spaces; after it, fields 12 and 13 are
	// the user's and the system's time in hundredths of a second.
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
