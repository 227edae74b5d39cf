//go:build !linux

package testenv

import "syscall"

// dieWithParent exists on Linux alone: elsewhere Main stops the servers, and a
// test process that is killed leaves them.
func dieWithParent() *syscall.SysProcAttr { return nil }
