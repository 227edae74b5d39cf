//go:build !linux

package main

import (
	"errors"
	"time"
)

// limit holds processes to a share of the processor, on Linux alone.
type limit struct{}

var errLinux = errors.New("it is known how on Linux alone")

func limitsWork() error                        { return errLinux }
func newLimit(string, float64) (*limit, error) { return nil, errLinux }
func (*limit) hold(int) error                  { return errLinux }
func (*limit) remove()                         {}

// cpuTime is the processor's time that a process has had.
func cpuTime(int) (time.Duration, error) { return 0, errLinux }
