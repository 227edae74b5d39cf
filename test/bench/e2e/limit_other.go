//go:build !linux

package main

import (
	"errors"
	"time"
)

// limit works only on Linux.
type limit struct{}

var errLinux = errors.New("this needs Linux")

func limitsWork() error                        { return errLinux }
func newLimit(string, float64) (*limit, error) { return nil, errLinux }
func (*limit) add(int) error                   { return errLinux }
func (*limit) remove()                         {}
func cpuTime(int) (time.Duration, error)       { return 0, errLinux }
